"""Which tensor of a .tflite file holds which layer's output; nothing is guessed.

Rows are taken in graph order. A row's operator is one of its kind that reads the tensors of the
row's producers (across carriers: `dataflow`); if it has a kernel, its real numbers must be the
row's folded kernel. In a file of our own making only the operators that the row was made into are
considered (`provenance`); in any other file all are, and no name is read. What a converter may do
differently is covered by rule:

    an activation is fused into the operator, follows it, or is cut by the grid's own end;
    a batch norm is folded, or follows as multiplication and addition;
    a per-channel map is an operator, or went into the kernel before it or after it;
    a dense layer is a 1x1 convolution and the reverse, a mean a pool, a hard swish one operator.

A row that has no tensor of its own is named with the reason. Where the walk loses its way, the
next kernel that equals a row's finds it again, and tells the tensor of the row before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfqdyn.network.graph import Graph
from tfqdyn.tflite.file import TfliteModel
from tfqdyn.tflite.pairs import LayerPair
from tfqdyn.tflite.provenance import Origins
from tfqdyn.tflite.readings import UNRELATED
from tfqdyn.tflite.walk import Matcher


class PairingError(ValueError):
    """Layers and tensors do not match; the message names every leftover."""


@dataclass(frozen=True, eq=False)
class Pairing:
    """What `pair_layers` found.

    Attributes:
        pairs: in graph order.
        unpaired: rows without a tensor of their own, with the reason.
        leftovers: operators of the file that no row accounts for, in words.
    """

    pairs: tuple[LayerPair, ...]
    unpaired: Mapping[str, str]
    leftovers: tuple[str, ...]


def pair_layers(
    graph: Graph,
    model: TfliteModel,
    sources: Mapping[str, int] | None = None,
    origins: Origins | None = None,
) -> Pairing:
    """Pairs the rows of a folded graph with the tensors of a file.

    Args:
        graph: the folded network that the file was made from, or should have been.
        model: the file.
        sources: tensors that rows' readers read, by row name, where they are not the rows' own
            (see `cutting.to_cut_tflite`), and those of the inputs (`ports`); by default the
            graph's inputs are the file's, in this order.
        origins: for a file of our own making, the rows that each operator was made of
            (`provenance.origins`).

    Raises:
        PairingError: a layer with a kernel has no operator in the file, or the kernels there are
            not this network's (where `origins` says that they are, their weights are for the
            conversion to check).
    """
    matcher = Matcher(graph, model, sources, origins)
    for row in matcher.rows:
        matcher.match(row)
    if origins is None:
        _refuse_other_models(tuple(matcher.pairs.values()))
    leftovers = tuple(
        f"operator {op.index} ({op.kind}, {model.tensors[op.outputs[0]].name!r})"
        for op in matcher.flow.operators
        if op.index not in matcher.claimed
    )
    missing = [
        f"layer {row.name!r} ({row.kind}): {matcher.unpaired[row.name]}"
        for row in matcher.rows
        if row.has_kernel and row.name in matcher.unpaired and not matcher.went_on(row)
    ]
    if missing:
        raise mismatch([*missing, *(f"{text} has no layer" for text in leftovers)])
    pairs = tuple(matcher.pairs[r.name] for r in matcher.rows if r.name in matcher.pairs)
    return Pairing(pairs, matcher.unpaired, leftovers)


def mismatch(problems: Sequence[str]) -> PairingError:
    """The error that lists leftovers, ten at most."""
    more = [f"... and {len(problems) - 10} more"] if len(problems) > 10 else []
    return PairingError("layers and tensors do not match:\n" + "\n".join([*problems[:10], *more]))


def _refuse_other_models(pairs: Sequence[LayerPair]) -> None:
    """Raises PairingError if a kernel has nothing in common with its layer's."""
    compared = [pair for pair in pairs if pair.row.has_kernel]
    far = [pair for pair in compared if not pair.distance <= UNRELATED]
    if not far:
        return
    worst = max(far, key=lambda pair: pair.distance)
    raise PairingError(
        f"the .tflite file does not hold this model: the weights of {len(far)} of "
        f"{len(compared)} layers have nothing in common; those of {worst.row.name!r} differ most "
        f"(distance {worst.distance:.2f}; 0 are the same weights, 1 unrelated ones)"
    )
