"""The walk that pairs rows with tensors: rows in graph order, see `pairing`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.graph import Graph, LayerNode, Node
from tfqdyn.numerics.layouts import scaled_inputs
from tfqdyn.tflite import composites
from tfqdyn.tflite.dataflow import Dataflow
from tfqdyn.tflite.file import Operator, TfliteModel
from tfqdyn.tflite.kernels import affine_chains, distance
from tfqdyn.tflite.pairs import LayerPair
from tfqdyn.tflite.provenance import Origins
from tfqdyn.tflite.readings import (
    MARGIN,
    SAME_MAP,
    UNRELATED,
    KernelMatch,
    Taken,
    closest,
    offsets_apart,
    shapes_of,
)
from tfqdyn.tflite.relus import activated


@dataclass(frozen=True, eq=False)
class Value:
    """Where a row's value is: the tensor's, times `scale` plus something; None for exactly it."""

    tensor: int
    scale: NDArray | None = None
    offset: NDArray | None = None


class Matcher:
    """The state of one walk.

    Attributes:
        pairs: by row name.
        unpaired: rows without a tensor of their own, with the reason.
        claimed: indices of the operators that some row accounts for.

    Args:
        graph: the folded network.
        model: the file.
        sources: see `pairing.pair_layers`.
        origins: likewise; an operator is no candidate for rows that it does not come from.
    """

    def __init__(
        self,
        graph: Graph,
        model: TfliteModel,
        sources: Mapping[str, int] | None = None,
        origins: Origins | None = None,
    ) -> None:
        self.graph, self.model, self.flow = graph, model, Dataflow(model)
        self._origins = origins or {}
        self.rows = graph.rows
        self._readers: dict[str, list[LayerNode]] = {}
        for row in self.rows:
            for producer in row.producers:
                self._readers.setdefault(producer, []).append(row)
        given = dict(zip(graph.inputs, model.inputs)) if sources is None else sources
        self._values = {name: Value(tensor) for name, tensor in given.items()}
        self.pairs: dict[str, LayerPair] = {}
        self.unpaired: dict[str, str] = {}
        self.claimed: set[int] = set()
        # rows that the operator of the row before computed already
        self._made: dict[str, tuple[Operator, KernelMatch | None]] = {}
        self._images = max(1, *model.tensors[model.inputs[0]].shape[:1])

    def match(self, row: LayerNode) -> None:
        """Pairs one row, or notes why not; rows come in graph order."""
        node = self.graph.by_name[row.name]
        if row.name in self._made:
            operator, match = self._made[row.name]
            self._finish(row, (operator,), match)
        elif row.has_kernel:
            self._kernel(row, node)
        elif node.op == "affine":
            self._affine(row, node)
        elif node.op == "relu":
            value = self._exact(row)
            if value is not None:
                self._finish(row, (), start=value[0])
        else:
            self._plain(row, node)

    def went_on(self, row: LayerNode) -> bool:
        """Whether a layer was found although no tensor holds its own output."""
        return any(reader.name in self._made for reader in self._readers.get(row.name, []))

    # rows with a kernel

    def _kernel(self, row: LayerNode, node: Node) -> None:
        before = self._values.get(row.producers[0])
        kernel, bias = node.kernel, node.weights["bias"].astype(np.float64)
        if before is not None and before.scale is not None:
            kernel = scaled_inputs(kernel, before.scale, node.groups)
        free, match = self._candidates(row, node), None
        if before is not None:
            near = [op for op in free if self.flow.inputs(op) == (before.tensor,)]
            match = closest(self.flow, near, kernel, bias, self._map_after(row))
        if match is None:
            match = closest(self.flow, free, kernel, bias, self._map_after(row))
            if match is None or not match.distance <= UNRELATED:
                self.unpaired[row.name] = self._no_kernel(row, kernel)
                return
            self._found_again(row, match.operators[0])
        if match.taken is not None:
            self._give_to(match.taken, row, match.operators, match)
            return
        self._finish(row, match.operators, match)

    def _map_after(self, row: LayerNode) -> Taken | None:
        """The per-channel map that alone reads a layer."""
        after = self._readers.get(row.name, [])
        if len(after) != 1 or after[0].kind != "affine" or row.output != row.name:
            return None
        weights = self.graph.by_name[after[0].name].weights
        scale, offset = (weights[role].astype(np.float64) for role in ("kernel", "bias"))
        return Taken(after[0], scale, offset) if scale.size == row.output_shape[-1] else None

    def _found_again(self, row: LayerNode, operator: Operator) -> None:
        """The layer before a kernel that was found by its weights alone is what that one reads."""
        (tensor,) = self.flow.inputs(operator)
        before = next((r for r in self.rows if r.name == row.producers[0]), None)
        taken = {pair.tensor for pair in self.pairs.values()}
        known = row.producers[0] in self._values
        if before is None or known or tensor in taken:
            return
        if self._size(tensor) != np.prod(before.output_shape):
            return
        maker = self.flow.maker(tensor)
        self.unpaired.pop(before.name, None)
        self._values[before.name] = Value(tensor)
        params, kind = self.model.tensors[tensor].params, maker.kind if maker else "input"
        self.pairs[before.name] = LayerPair(before, tensor, kind, params, None)
        known_tensors = {value.tensor for value in self._values.values()} - {tensor}
        between = [tensor]
        while between:  # all that computes it from what is known
            made = self.flow.maker(between.pop())
            if made is not None and made.index not in self.claimed:
                self.claimed.add(made.index)
                between += [t for t in self.flow.inputs(made) if t not in known_tensors]

    def _no_kernel(self, row: LayerNode, kernel: NDArray) -> str:
        shape, source = "x".join(map(str, kernel.shape)), repr(row.producers[0])
        before = self._values.get(row.producers[0])
        if before is None:
            return f"no operator has its kernel of {shape}, and {source} is not paired"
        found = shapes_of(self.flow, self.flow.readers(before.tensor)) or "nothing"
        return f"expected a kernel of {shape} on what {source} gives; found {found}"

    # rows without a kernel

    def _affine(self, row: LayerNode, node: Node) -> None:
        before = self._values.get(row.producers[0])
        if before is None:
            self.unpaired[row.name] = f"{row.producers[0]!r}, which it reads, is not paired"
            return
        scale, offset = (node.weights[r].astype(np.float64) for r in ("kernel", "bias"))
        if before.scale is not None and before.offset is not None:
            scale, offset = scale * before.scale, scale * before.offset + offset
        best: tuple[float, tuple[Operator, ...], float] | None = None
        has_own = any(self._made_by(row, op) for op in self.flow.readers(before.tensor))
        for chain, found, shift in affine_chains(self.flow, before.tensor, scale.size):
            if not all(op in self._of_row(row, chain) for op in chain) or (has_own and not chain):
                continue
            apart = distance(scale, found)
            score = apart + offsets_apart(offset, shift)
            if score < (np.inf if best is None else best[0] - MARGIN):
                # an offset in a file of our own may end where int32 does
                best = score, chain, apart if self._origins else score
        if best is not None and best[2] < SAME_MAP and best[1]:
            self._finish(row, best[1])
            return
        idle = best is not None and best[0] < 1e-6
        self.unpaired[row.name] = "changes nothing" if idle else "went into layers that read it"
        if idle:
            self._values.setdefault(row.name, before)
        elif row.output == row.name:
            self._values.setdefault(row.name, Value(before.tensor, scale, offset))

    def _exact(self, row: LayerNode) -> list[int] | None:
        """The tensors that a row reads; None, and the row is named, if one is not there."""
        found = [self._values.get(name) for name in row.producers]
        exact = [v.tensor for v in found if v is not None and v.scale is None]
        if len(exact) == len(found):
            return exact
        missing = [
            name
            for name, value in zip(row.producers, found, strict=True)
            if value is None or value.scale is not None
        ]
        self.unpaired[row.name] = f"{', '.join(map(repr, missing))}, which it reads, is not paired"
        return None

    def _plain(self, row: LayerNode, node: Node) -> None:
        swish = self._hard_swish(row, node)
        if swish is not None:
            self._inside(row, swish.kind)
            self._finish(row, (swish,))
            return
        wanted = self._exact(row)
        if wanted is None:
            return
        order = list if node.traits.ordered else sorted
        fitting = [
            op for op in self._candidates(row, node) if order(self.flow.inputs(op)) == order(wanted)
        ]
        if fitting:
            moves = self.graph.moves(node)  # tell ops apart that read one value, moved differently
            self._finish(row, (min(fitting, key=lambda op: len(self.flow.moves(op) ^ moves)),))
            return
        several = self._several(row, node, wanted)
        if several is not None:
            self._finish(row, several)
            return
        kinds = ", ".join(op.kind for op in self.flow.readers(wanted[0])) or "nothing"
        self.unpaired[row.name] = (
            f"expected {' or '.join(node.traits.operators or (node.op,))} that reads "
            f"{' and '.join(map(repr, row.producers))}; found {kinds}"
        )

    def _several(
        self, row: LayerNode, node: Node, wanted: Sequence[int]
    ) -> tuple[Operator, ...] | None:
        """The operators that compute a row together, if they can be found."""
        if not self._origins:
            return composites.layer_norm(self.flow, wanted[0]) if node.op == "layer_norm" else None
        made = tuple(op for op in self.flow.operators if self._made_by(row, op))
        return made if composites.closed(self.flow, made, wanted) else None

    def _hard_swish(self, row: LayerNode, node: Node) -> Operator | None:
        """HARD_SWISH instead of a multiplication one side of which the file does not hold."""
        known = [self._values.get(name) for name in row.producers]
        exact = [v for v in known if v is not None and v.scale is None]
        if node.op != "multiply" or len(exact) != 1 or len(known) != 2:
            return None
        readers = self._of_row(row, self.flow.readers(exact[0].tensor))
        return next((op for op in readers if op.kind == "HARD_SWISH"), None)

    def _inside(self, row: LayerNode, operator: str) -> None:
        """Names, for the unpaired rows that a row builds on, the operator that computes them."""
        for before in self.rows:
            if before.name in row.producers and before.name in self.unpaired:
                self.unpaired[before.name] = f"{operator} computes it together with {row.name!r}"
                self._inside(before, operator)

    def _candidates(self, row: LayerNode, node: Node) -> list[Operator]:
        """Operators of the row's kind that may be the row's."""
        window = (*node.config.get("pool_size", ()), *node.config.get("strides", ()))
        return self._of_row(row, [
            op for op in self.flow.operators
            if op.kind in node.traits.operators
            and (node.op not in ("average_pool", "max_pool") or op.window == window)
        ])  # fmt: skip

    def _of_row(self, row: LayerNode, operators: Sequence[Operator]) -> list[Operator]:
        """Free operators that are the row's by construction, or else of unknown origin."""
        free = [op for op in operators if op.index not in self.claimed]
        first = [op for op in free if self._made_by(row, op)]
        named = [op for op in free if row.name in self._origins.get(op.index, ())]
        return first or named or [op for op in free if op.index not in self._origins]

    def _made_by(self, row: LayerNode, operator: Operator) -> bool:
        """Whether an operator gives a row's value by construction."""
        return self._origins.get(operator.index, ("",))[0] == row.name

    def _finish(
        self,
        row: LayerNode,
        operators: tuple[Operator, ...],
        match: KernelMatch | None = None,
        start: int = -1,
    ) -> None:
        """Pairs a row with what its operators, and the activation behind them, come to."""
        end = operators[-1].outputs[0] if operators else start
        fused = operators[-1].activation if operators else "NONE"
        self.claimed |= {op.index for op in operators}
        last = self.graph.by_name[row.output]
        if last.op == "relu":
            clips = activated(self.flow, end, fused, last.config["max_value"])
            if clips is None:
                self.unpaired[row.name] = "the file does not cut it off as its ReLU does"
                return
            operators += clips
            self.claimed |= {op.index for op in clips}
            end = operators[-1].outputs[0] if operators else end
        elif fused != "NONE":
            readers = self._readers.get(row.name, [])
            if len(readers) == 1 and readers[0].kind == "relu":
                self._give_to(readers[0], row, operators, match)
            else:
                self.unpaired[row.name] = f"the file applies {fused} to it, the model does not"
            return
        tensor = self.flow.sized(end, int(np.prod(row.output_shape)) * self._images)
        if self._size(tensor) != np.prod(row.output_shape):
            shape = self.model.tensors[end].shape
            self.unpaired[row.name] = f"its output of shape {row.output_shape} became {shape}"
            return
        self.unpaired.pop(row.name, None)
        self._values.setdefault(row.name, Value(self.flow.source(end)))
        self.pairs[row.name] = self._pair(row, tensor, operators, match)

    def _give_to(
        self,
        later: LayerNode,
        row: LayerNode,
        operators: tuple[Operator, ...],
        match: KernelMatch | None,
    ) -> None:
        """What the operators give belongs to a later row, which they compute as well."""
        self.unpaired[row.name] = f"the file holds it together with {later.name!r} only"
        self._made[later.name] = operators[-1], match
        self.claimed |= {op.index for op in operators}

    def _pair(
        self,
        row: LayerNode,
        tensor: int,
        operators: tuple[Operator, ...],
        match: KernelMatch | None,
    ) -> LayerPair:
        first = operators[0] if operators else self.flow.maker(tensor)
        kind = first.kind if first is not None else "input"
        params = self.model.tensors[tensor].params
        if match is not None:
            kernel = match.kernel.tensor.index
            return LayerPair(row, tensor, kind, params, kernel, match.distance, match.most_steps)
        stored = None if first is None or row.kind != "affine" else self.flow.constant(first, 1)
        if stored is None or kind not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            return LayerPair(row, tensor, kind, params, None)
        return LayerPair(row, tensor, kind, params, stored.index)

    def _size(self, tensor: int) -> int:
        """Numbers of a tensor for one image."""
        return int(np.prod(self.model.tensors[tensor].shape)) // self._images
