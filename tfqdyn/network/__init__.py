"""The network: from a model file to a graph of canonical nodes, batch norms folded."""
