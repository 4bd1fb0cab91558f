"""Which trained networks the thesis' figures of chapter 4 are of, as far as its text says.

The pictures' legends are not in the text. Figures 4.3 to 4.5 are of "a selected subset": 4.5
speaks of "the two He-initialized models" and of RandUni_Large among "the other networks", all DWS
Conv With BN; GlorotUni stands here for the others. Figures 4.6 to 4.8 are of "randomly selected
layers from randomly selected models" of Table 4.3; which is our choice.
"""

from experiments.engine.networks import thesis_network

DISCUSSED = tuple(
    thesis_network("DWS", "scale", initializer)
    for initializer in ("RandUni_Large", "HeNorm", "HeUni", "GlorotUni")
)
"""The networks of Figures 4.3 to 4.5."""

DYING = thesis_network("DWS", None, "GlorotUni")
LIVING = thesis_network("DWS", None, "RandNorm_Large")
"""The networks of Figure 4.2: the thesis shows the dying one alone."""

WATCHED_DWS = thesis_network("DWS", "scale", "HeNorm")
WATCHED_REGULAR = thesis_network("Regular", None, "HeUni")
"""The networks of Figures 4.6 to 4.8."""
