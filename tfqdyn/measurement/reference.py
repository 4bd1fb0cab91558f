"""What a quantized network is held against: the fp32 network that the user gave.

Remedies and training make another network of it, whose fp32 function may differ; what the 8-bit
network loses is counted from the one that was given all the same. Of the changed network only two
things are asked in fp32: how accurate it is itself, and the values of the layers that cannot be
held against the given network's, because a remedy put them on another scale or added them.
"""

from collections.abc import Sequence

from tfqdyn.datasets import Batch
from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.measurement.measured import Fp32
from tfqdyn.measurement.tasks import Plan
from tfqdyn.network.folding import ORIGINAL, REMEDIED, Folded
from tfqdyn.network.graph import LayerNode


class Reference:
    """The fp32 side of a comparison, in one pass over the network that was given.

    A second one, over the network as it was changed, is there only if it was.

    Args:
        folded: the network that was quantized.
        rows: those that are compared.
        plan: the outputs; their nodes are of one name in both networks.
        run: gives the fp32 values of the network that was quantized, rows and outputs among them.
    """

    def __init__(
        self, folded: Folded, rows: Sequence[LayerNode], plan: Plan, run: KerasActivations
    ) -> None:
        outputs = {
            ORIGINAL: {row.name: row.output for row in folded.reference.rows},
            REMEDIED: {row.name: row.output for row in rows},
        }
        against = folded.held_against
        self._wanted = [(against[row.name], outputs[against[row.name]][row.name]) for row in rows]
        by_row = {row.name: row.output for row in folded.reference.rows}
        self._outputs = [output.node for output in plan.outputs]
        self._logits = [o.node if o.logits is None else by_row[o.logits] for o in plan.outputs]
        self._main = None if plan.main is None else self._logits[plan.main]
        self._given, self._changed = run, None
        if folded.graph is not folded.reference:
            ends = [*self._outputs, *self._logits]
            self._given = KerasActivations(folded.reference, self._nodes(ORIGINAL, ends))
            changed = self._nodes(REMEDIED, [] if self._main is None else [self._main])
            self._changed = KerasActivations(folded.graph, changed) if changed else None

    def _nodes(self, kind: str, ends: Sequence[str]) -> list[str]:
        """What is wanted of one of the two networks: its ends, and the rows held against it."""
        wanted = [*ends, *(node for against, node in self._wanted if against == kind)]
        return list(dict.fromkeys(wanted))

    def __call__(self, images: Batch) -> Fp32:
        """The values for a preprocessed chunk."""
        values = {ORIGINAL: self._given.by_node(images)}
        if self._changed is not None:
            values[REMEDIED] = self._changed.by_node(images)
        changed = REMEDIED in values and self._main is not None
        return Fp32(
            rows=[values[kind][node] for kind, node in self._wanted],
            outputs=[values[ORIGINAL][node] for node in self._outputs],
            logits=[values[ORIGINAL][node] for node in self._logits],
            changed_logits=values[REMEDIED][str(self._main)] if changed else None,
        )
