"""Where a file applies a layer's ReLU: in its operator, behind it, or by the end of its grid."""

from tfqdyn.tflite.dataflow import Dataflow, real_values
from tfqdyn.tflite.file import Operator

TOPS = {"RELU": None, "RELU6": 6.0, "RELU_0_TO_1": 1.0}
"""The upper bound of each activation that cuts off what is below 0."""


def activated(
    flow: Dataflow, tensor: int, fused: str, top: float | None
) -> tuple[Operator, ...] | None:
    """The operators that cut a value to [0, top], beyond what is fused; () where none is needed.

    Args:
        flow: of the file.
        tensor: the value.
        fused: the activation that its operator applies already.
        top: upper bound; None for none.

    Returns:
        None if the file does not cut the value so.
    """
    done = _bounds(fused, top)
    clips: list[Operator] = []
    end = tensor
    while done != {"low", "high"} and len(clips) < 2:
        found = [op for op in flow.readers(end) if _cut_by(flow, op, top) - done]
        if not found:
            break
        done |= _cut_by(flow, found[0], top)
        clips.append(found[0])
        end = found[0].outputs[0]
    while clips and len(flow.readers(end)) == 1 and _cut_by(flow, flow.readers(end)[0], top):
        clips.append(flow.readers(end)[0])  # cuts what is cut already
        end = clips[-1].outputs[0]
    done |= _cut_by_grid(flow, end, top)
    return tuple(clips) if done == {"low", "high"} else None


def _bounds(kind: str, top: float | None) -> set[str]:
    """Which bounds an activation sets: RELU both of [0, inf) and one of [0, 6]."""
    if kind not in TOPS or TOPS[kind] not in (None, top):
        return set() if top is not None else {"high"}
    return {"low"} if TOPS[kind] != top else {"low", "high"}


def _cut_by(flow: Dataflow, operator: Operator, top: float | None) -> set[str]:
    if operator.kind in TOPS:
        return _bounds(operator.kind, top)
    if operator.kind not in ("MAXIMUM", "MINIMUM"):
        return set()
    stored = flow.constant(operator, 1) or flow.constant(operator, 0)
    if stored is None or stored.data is None or stored.data.size != 1:
        return set()
    bound = float(real_values(stored).reshape(()))
    if operator.kind == "MAXIMUM":
        return {"low"} if bound == 0 else set()
    rounding = 0.0 if stored.params is None else 0.51 * float(stored.params.scale)
    near = top is not None and abs(bound - top) < rounding + 1e-3 * top
    return {"high"} if near else set()


def _cut_by_grid(flow: Dataflow, tensor: int, top: float | None) -> set[str]:
    """A grid that ends at a bound cuts there: converters drop ReLUs that this makes idle."""
    params = flow.model.tensors[tensor].params
    if params is None:
        return set()
    low, high = params.range
    found = {"low"} if low > -params.scale / 2 else set()
    return found | ({"high"} if top is None or high < top + params.scale else set())
