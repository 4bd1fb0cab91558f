"""What a quantized network is held against: the fp32 network that the user gave.

Remedies and training make another network of it, whose fp32 function may differ; what the 8-bit
network loses is counted from the one that was given all the same. Of the changed network only two
things are asked in fp32: how accurate it is itself, and the values of the layers that cannot be
held against the given network's, because a remedy put them on another scale or added them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.measurement.streaming import Fp32
from tfqdyn.network.folding import ORIGINAL, REMEDIED, Folded
from tfqdyn.network.graph import LayerNode


class Reference:
    """The fp32 side of a comparison, in one pass over the network that was given.

    A second one, over the network as it was changed, is there only if it was.

    Args:
        folded: the network that was quantized.
        rows: those that are compared.
        logits: the logits' node in both networks.
        run: gives the fp32 values of the network that was quantized, rows and logits among them.
    """

    def __init__(
        self, folded: Folded, rows: Sequence[LayerNode], logits: str, run: KerasActivations
    ) -> None:
        outputs = {
            ORIGINAL: {row.name: row.output for row in folded.reference.rows},
            REMEDIED: {row.name: row.output for row in rows},
        }
        against = folded.held_against
        self._wanted = [(against[row.name], outputs[against[row.name]][row.name]) for row in rows]
        self._logits = logits
        self._given, self._changed = run, None
        if folded.graph is not folded.reference:
            self._given = KerasActivations(folded.reference, self._nodes(ORIGINAL))
            self._changed = KerasActivations(folded.graph, self._nodes(REMEDIED))

    def _nodes(self, kind: str) -> list[str]:
        """What is wanted of one of the two networks: its logits, and the rows held against it."""
        wanted = [self._logits, *(node for against, node in self._wanted if against == kind)]
        return list(dict.fromkeys(wanted))

    def __call__(self, images: NDArray[np.float32]) -> Fp32:
        """The values for preprocessed images [N, H, W, C]."""
        values = {ORIGINAL: self._given.by_node(images)}
        if self._changed is not None:
            values[REMEDIED] = self._changed.by_node(images)
        return Fp32(
            rows=[values[kind][node] for kind, node in self._wanted],
            logits=values[ORIGINAL][self._logits],
            changed_logits=values[REMEDIED][self._logits] if REMEDIED in values else None,
        )
