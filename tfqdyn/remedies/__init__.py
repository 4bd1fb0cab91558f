"""Remedies: from the diagnosis to the cure, without retraining.

Each remedy is a pure function in a module of its own: a folded network and unlabeled images in, a
new folded network out, with a record of what was changed in which channel. `REMEDIES` lists them,
`diagnose` says which to try, `choose` tries them, `treat` applies them and measures every step.
"""

from tfqdyn.remedies.auto import Attempt, Choice, choose
from tfqdyn.remedies.catalogue import AUTO, REMEDIES
from tfqdyn.remedies.course import Stage, treat
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.record import Change, Remedied, RemedyError
from tfqdyn.remedies.runner import remedy
from tfqdyn.results.diagnosis import Finding, diagnose

__all__ = [
    "AUTO",
    "REMEDIES",
    "Attempt",
    "CalibrationImages",
    "Change",
    "Choice",
    "Finding",
    "Remedied",
    "RemedyError",
    "Stage",
    "choose",
    "diagnose",
    "remedy",
    "treat",
]
