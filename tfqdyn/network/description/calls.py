"""Which layer is called on what, as Keras 2 and Keras 3 write it, in an order that works."""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tfqdyn.network.description.records import LayerCall, Network, Output, outputs_in, with_outputs
from tfqdyn.network.description.values import LARGEST, ModelFileError, list_of, mapping, shown, text


def in_order(network: Network) -> Network:
    """The network with its calls in an order in which they can be made.

    The first call of a nested model is counted as 0: Keras 2 counts its making as one.
    """
    read = [
        *(
            output
            for call in network.calls or ()
            for output in outputs_in([call.args, call.kwargs])
        ),
        *outputs_in([network.inputs, network.outputs]),
    ]
    first = {layer.name: LARGEST for layer in network.layers if layer.network is not None}
    for output in read:
        if output.layer in first:
            first[output.layer] = min(first[output.layer], output.call)

    def counted(output: Output) -> Output:
        return replace(output, call=output.call - first.get(output.layer, 0))

    calls = [
        replace(c, args=with_outputs(c.args, counted), kwargs=with_outputs(c.kwargs, counted))
        for c in network.calls or ()
    ]
    ends = [with_outputs(end, counted) for end in (network.inputs, network.outputs)]
    sources = [(layer.name, 0) for layer in network.layers if layer.kind == "InputLayer"]
    ordered = _ordered(calls, sources)
    made = {*sources, *((call.layer, call.number) for call in ordered)}
    lost = [call.layer for call in calls if (call.layer, call.number) not in made]
    lost += [o.layer for o in outputs_in(ends) if (o.layer, o.call) not in made]
    if lost:
        raise ModelFileError(
            f"layers of {network.name!r} read each other in a circle, or what is not there: "
            + ", ".join(list(dict.fromkeys(lost))[:5])
        )
    return replace(network, calls=tuple(ordered), inputs=ends[0], outputs=ends[1])


def _ordered(calls: Sequence[LayerCall], sources: Sequence[tuple[str, int]]) -> list[LayerCall]:
    """Those calls that can be made, inputs before outputs."""
    readers: dict[tuple[str, int], list[LayerCall]] = defaultdict(list)
    missing = {}
    for call in calls:
        needed = {(o.layer, o.call) for o in outputs_in([call.args, call.kwargs])}
        missing[call.layer, call.number] = len(needed)
        for key in needed:
            readers[key].append(call)
    ordered, ready = [], deque(sources)
    while ready:
        for call in readers[ready.popleft()]:
            key = (call.layer, call.number)
            missing[key] -= 1
            if not missing[key]:
                ordered.append(call)
                ready.append(key)
    return ordered


def keras_2_call(node: Any, what: str) -> tuple[Any, Mapping[str, Any]]:
    """Input and keyword arguments of a call as Keras 2 writes it: [layer, call, tensor, {...}]s."""
    kwargs: Mapping[str, Any] = {}

    def tensors(value: Any) -> Any:
        nonlocal kwargs
        if not _is_tensor(list_of(value, what)):
            return [tensors(item) for item in value]
        kwargs = mapping(value[3] if len(value) == 4 else {}, what)
        return output(value[:3], what)

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return output(value, what) if _is_tensor(value) else [named(item) for item in value]
        return value

    found = tensors(node)
    if isinstance(found, list) and len(found) == 1:
        (found,) = found
    return found, {key: named(value) for key, value in kwargs.items()}


def _is_tensor(value: list[Any]) -> bool:
    return len(value) in (3, 4) and isinstance(value[0], str)


def structure(value: Any, what: str) -> Any:
    """`Output`s in the form in which a functional model lists its ends."""
    if isinstance(value, Mapping):
        return {text(key, what): structure(item, what) for key, item in value.items()}
    if isinstance(value, list) and not (value and isinstance(value[0], str)):
        return [structure(item, what) for item in value]
    return output(value, what)


def output(value: Any, what: str) -> Output:
    """[layer, call, tensor] as Keras writes it."""
    if not (isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)):
        raise ModelFileError(f"{what}: expected [layer, call, tensor], received {shown(value)}")
    if value[0] == "_CONSTANT_VALUE":
        raise ModelFileError(
            f"{what} has a constant as its first input, which is refused, because it would run "
            "while the file is read; write -x + 1 for 1 - x"
        )
    if not all(type(n) is int and 0 <= n <= LARGEST for n in value[1:]):
        raise ModelFileError(f"{what}: expected numbers from 0 on, received {shown(value)}")
    return Output(*value)
