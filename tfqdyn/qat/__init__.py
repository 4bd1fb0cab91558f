"""Quantization-aware training: rounding in the loop, then the analysis of any other network.

`rounding` wraps tensorflow-model-optimization, `twin` makes networks that round while they train,
`finetuning` trains them, `runner` is the command `tfqdyn qat`.
"""

from tfqdyn.qat.finetuning import DivergedError, Schedule
from tfqdyn.qat.runner import Trained, history_table, named, qat
from tfqdyn.qat.twin import UntrainableError

__all__ = [
    "DivergedError", "Schedule", "Trained", "UntrainableError", "history_table", "named", "qat",
]  # fmt: skip
