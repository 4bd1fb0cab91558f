"""The calls of a Keras functional or sequential model, nested models flattened, in graph order.

Works on Keras 3 models and on tf_keras ones (Keras 2 files that Keras 3 refuses); it reads the
call graph and no weights, and imports neither. Inputs come first, in the model's order; then graph
order is depth-first from the outputs, one after the other: at an
addition the branch with more kernel layers comes first, so that a residual block's projection
follows the block's convolutions, as the works number layers; elsewhere inputs keep their order.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfqdyn.network.opening import OpeningError, is_users, name_within, opened

KERNEL_CLASSES = (
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "EinsumDense",
    "MultiHeadAttention",
    "SeparableConv1D",
    "SeparableConv2D",
)


class UnsupportedModelError(ValueError):
    """The model, or a layer of it, is of a kind that the analysis does not cover."""


@dataclass(frozen=True)
class Slot:
    """Stands for an input tensor among a call's arguments: `Call.inputs[index]`."""

    index: int


@dataclass(frozen=True, eq=False)
class Call:
    """One call of one layer (or of a `keras.ops` operation).

    Attributes:
        name: unique; the layer's name, with `_call_2`, ... for further calls of a shared layer.
        layer: the Keras layer or operation.
        inputs: names of the calls whose outputs it reads; empty for the model's input.
        arguments: positional, then keyword arguments: constants, `Slot`s, and lists of them.
        keywords: names of the keyword arguments, the last of `arguments`.
        output_shape: without the batch axis; None where a size is not fixed.
        shared: whether the layer is called more than once.
        owner: the layer of the user's own that the call is inside of; "" for none.
        problem: why a layer of the user's own could not be followed; "" for all others.
    """

    name: str
    layer: Any
    inputs: tuple[str, ...]
    arguments: tuple[Any, ...]
    output_shape: tuple[int | None, ...]
    shared: bool = False
    keywords: tuple[str, ...] = ()
    owner: str = ""
    problem: str = ""

    @property
    def source(self) -> str:
        """The name that the user knows: of the layer, or of the one that holds it."""
        return self.owner or str(self.layer.name)

    @property
    def kind(self) -> str:
        """The class name; of a user's subclass that computes nothing new, its Keras ancestor's."""
        own = type(self.layer)
        for base in own.__mro__:
            if base.__module__.split(".")[0] in ("keras", "tf_keras"):
                same = all(getattr(base, n, None) is getattr(own, n, None) for n in _COMPUTING)
                return base.__name__ if same else own.__name__
        return own.__name__


_COMPUTING = ("call", "_compute_attention", "_masked_softmax", "_calculate_scores", "_apply_scores")
"""Methods of Keras' layers that a subclass computes something else by."""


@dataclass(frozen=True, eq=False)
class _Collected:
    """A call before names are settled, and the places of the calls that it reads."""

    call: Call
    feeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Traced:
    """What a model calls.

    Attributes:
        calls: in graph order, the model's inputs first. Inputs that no output depends on are left
            out.
        outputs: names of the calls whose values the model returns, in its order.
        output_names: what the model calls these: the keys of a dict of outputs, else the layers'
            names.
    """

    calls: tuple[Call, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]


def trace(model: Any) -> Traced:
    """All calls between the model's inputs and its outputs.

    Raises:
        UnsupportedModelError: not a functional or sequential model, not built, or a layer with
            several outputs.
    """
    if not is_model(model):
        raise UnsupportedModelError(
            f"expected a functional or sequential Keras model, received {type(model).__name__}; "
            "export a subclassed model (model.export('folder')), and give that folder or "
            "modelsource.load of it"
        )
    inputs, outputs = _ends(model)
    calls = []
    for tensor in inputs:
        layer = tensor._keras_history[0]
        calls.append(_Collected(Call(layer.name, layer, (), (), tuple(tensor.shape)[1:]), ()))
    places = _replay(model, list(range(len(inputs))), calls)
    order = _graph_order(places, calls)
    named = _named([calls[i] for i in order], calls)
    by_place = dict(zip(order, (call.name for call in named), strict=True))
    given = getattr(model, "_outputs_struct", None)
    keys = {id(t): str(key) for key, t in given.items()} if isinstance(given, Mapping) else {}
    names = tuple(
        str(keys.get(id(tensor), calls[place].call.source))
        for tensor, place in zip(outputs, places, strict=True)
    )
    return Traced(named, tuple(by_place[place] for place in places), names)


def is_model(layer: Any) -> bool:
    """Whether a layer is itself a functional or sequential model (Keras 3 or tf_keras)."""
    return bool({base.__name__ for base in type(layer).__mro__} & {"Functional", "Sequential"})


def _ends(model: Any) -> tuple[list[Any], list[Any]]:
    """The symbolic inputs and outputs of a functional or sequential model."""
    try:
        inputs, outputs = model.inputs, model.outputs
    except (AttributeError, ValueError):
        inputs = outputs = None
    if not inputs or not outputs:
        raise UnsupportedModelError(
            f"model {model.name!r} is not built: give it an Input of fixed shape, or build() it"
        )
    return list(inputs), list(outputs)


def _replay(
    model: Any, sources: list[int], calls: list[_Collected], within: tuple[str, str] = ("", "")
) -> list[int]:
    """Appends the calls of `model`, called on `sources`; returns the places of its outputs.

    `within` has the user's layer that the model is, and what names in it begin with.
    """
    inputs, outputs = _ends(model)
    known = {id(tensor): index for tensor, index in zip(inputs, sources, strict=True)}
    graph = getattr(model, "_functional", None) or model
    by_depth = graph._nodes_by_depth
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            layer, arriving, leaving = _node_parts(node)
            if not arriving:
                continue
            feeds = [known[id(tensor)] for tensor in arriving]
            name = name_within(within[1], layer) if within[0] else layer.name
            if is_model(layer):
                produced = _replay(layer, feeds, calls, within)
            elif is_users(layer):
                produced = _opened(name, node, arriving, feeds, calls, within[0] or layer.name)
            else:
                call = Call(name, layer, (), (), (), owner=within[0])
                produced = [_append(call, node, arriving, feeds, leaving, calls)]
            known.update({id(t): i for t, i in zip(leaving, produced, strict=True)})
    return [known[id(tensor)] for tensor in outputs]


def _node_parts(node: Any) -> tuple[Any, list[Any], list[Any]]:
    """Layer, input tensors and output tensors of a call's node, in Keras 3 or in tf_keras."""
    if hasattr(node, "operation"):
        return node.operation, list(node.input_tensors), _tensors(node.output_tensors)
    return node.layer, list(node.keras_inputs), _tensors(node.outputs)


def _opened(
    name: str, node: Any, arriving: list, feeds: list[int], calls: list[_Collected], owner: str
) -> list[int]:
    """The calls inside a layer of the user's own; the layer itself, where it has a problem."""
    layer, _, leaving = _node_parts(node)
    try:
        model = opened(layer, arriving, node.arguments.args, node.arguments.kwargs)
    except OpeningError as error:
        call = Call(name, layer, (), (), (), owner=owner, problem=str(error))
        return [_append(call, node, arriving, feeds, leaving, calls)]
    return _replay(model, feeds, calls, (owner, name))


def _append(
    call: Call, node: Any, arriving: list, feeds: list[int], leaving: list, calls: list[_Collected]
) -> int:
    layer = call.layer
    if len(leaving) != 1:
        raise UnsupportedModelError(
            f"layer {layer.name!r} ({type(layer).__name__}) has {len(leaving)} outputs; only "
            "layers with one output are supported"
        )
    if hasattr(node, "arguments"):
        args, kwargs = node.arguments.args, node.arguments.kwargs
    else:
        args, kwargs = node.call_args, node.call_kwargs
    slots = {id(tensor): Slot(i) for i, tensor in enumerate(arriving)}
    arguments = tuple(_with_slots(a, slots) for a in (*args, *kwargs.values()))
    shape = tuple(leaving[0].shape)[1:]
    call = replace(call, arguments=arguments, keywords=tuple(map(str, kwargs)), output_shape=shape)
    calls.append(_Collected(call, tuple(feeds)))
    return len(calls) - 1


def _tensors(structure: Any) -> list[Any]:
    if isinstance(structure, Mapping):
        structure = list(structure.values())
    if isinstance(structure, (list, tuple)):
        return [tensor for item in structure for tensor in _tensors(item)]
    return [structure]


def _with_slots(argument: Any, slots: Mapping[int, Slot]) -> Any:
    if isinstance(argument, (list, tuple)):
        return [_with_slots(item, slots) for item in argument]
    return slots.get(id(argument), argument)


def _graph_order(outputs: Sequence[int], calls: Sequence[_Collected]) -> list[int]:
    """Places of the calls behind the outputs: those without inputs, then depth-first."""
    kernels = [0] * len(calls)  # kernel layers on the longest path up to each call
    for i, collected in enumerate(calls):
        longest = max((kernels[k] for k in collected.feeds), default=0)
        kernels[i] = longest + (collected.call.kind in KERNEL_CLASSES)
    order: list[int] = []
    placed = set()
    stack = list(reversed(outputs))
    while stack:
        i = stack[-1]
        branches = list(calls[i].feeds)
        if calls[i].call.kind == "Add":
            branches.sort(key=lambda k: -kernels[k])
        waiting = [k for k in branches if k not in placed]
        if waiting:
            stack.append(waiting[0])
            continue
        stack.pop()
        if i not in placed:
            placed.add(i)
            order.append(i)
    return sorted(order, key=lambda i: i if not calls[i].feeds else len(calls))


def _named(ordered: list[_Collected], calls: Sequence[_Collected]) -> tuple[Call, ...]:
    """The calls with unique names, and inputs given by name."""
    times = Counter(id(collected.call.layer) for collected in ordered)
    taken: Counter[str] = Counter()
    names: dict[int, str] = {}
    for collected in ordered:
        name = collected.call.name
        taken[name] += 1
        names[id(collected)] = name if taken[name] == 1 else f"{name}_call_{taken[name]}"
    return tuple(
        replace(
            collected.call,
            name=names[id(collected)],
            inputs=tuple(names[id(calls[k])] for k in collected.feeds),
            shared=times[id(collected.call.layer)] > 1,
        )
        for collected in ordered
    )
