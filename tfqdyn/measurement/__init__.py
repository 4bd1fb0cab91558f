"""fp32 held against the quantized network: captured, streamed, summed, assembled."""
