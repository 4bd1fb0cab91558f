"""Lowerings of operators that move values: reshapes, padding, slices, and concatenation."""

from tfqdyn.tflite.file import Operator
from tfqdyn.tflite.lowering.builder import FileBuilder, Rule, UncoveredError, Value

Part = tuple[int, int, int]
"""First index, end and step along an axis; the step is positive."""


def reshape(b: FileBuilder, op: Operator) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the file tells the shape of what they give."""
    x = b.value(op)
    shape, batched = b.same_size(op, x)
    b.give(op, b.reshaped(x, shape, batched, ""))


def transpose(b: FileBuilder, op: Operator) -> None:
    x, order = b.value(op), b.integers(op, 1, "an order of axes")
    shape = b.shape(x)
    if not x.batched and sorted(order) == list(range(len(shape))):
        b.give(op, b.node("permute", (x,), tuple(shape[k] for k in order),
                          dims=tuple(k + 1 for k in order)))  # fmt: skip
        return
    if sorted(order) != list(range(len(shape) + 1)):
        raise UncoveredError(f"an order of axes {order} on {shape}")
    if order[0] != 0:
        _transposed_rows(b, op, x, order)
        return
    if order == tuple(range(len(order))):
        b.give(op, x)
        return
    end = tuple(shape[k - 1] for k in order[1:])
    b.give(op, b.node("permute", (x,), end, dims=order[1:]))


def _transposed_rows(b: FileBuilder, op: Operator, x: Value, order: tuple[int, ...]) -> None:
    """A transposition that moves the axis of a file's one image."""
    if b.images != 1:
        raise UncoveredError(f"an order of axes {order}, which moves the axis of images")
    shape = (1, *b.shape(x))
    inner = tuple(k for k in order if k != 0)
    moved = x
    if inner != tuple(sorted(inner)):
        end = tuple(shape[k] for k in inner)
        moved = b.node("permute", (x,), end, "_order", dims=inner)
    told, batched = b.same_size(op, moved)
    b.give(op, b.reshaped(moved, told, batched, ""))


def pad(b: FileBuilder, op: Operator) -> None:
    x, numbers = b.value(op), b.integers(op, 1, "a padding")
    shape = b.shape(x)
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        filled = b.floats(op, 2, "a value to pad with")
        if filled.size != 1 or float(filled.reshape(())) != 0:
            raise UncoveredError("padding with another value than 0")
    if len(numbers) != 2 * (len(shape) + x.batched) or min(numbers) < 0:
        raise UncoveredError(f"a padding of {numbers} on {shape}")
    pairs = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    if x.batched and pairs[0] != (0, 0):
        raise UncoveredError("padding of the axis that counts images")
    pairs = pairs[x.batched :]
    b.give(op, padded(b, x, pairs))


def padded(b: FileBuilder, x: Value, pairs: tuple[tuple[int, int], ...], suffix: str = "") -> Value:
    """A value with zeros around it; pairs (before, after) of every axis of one image."""
    shape = b.shape(x)
    if len(shape) == 3 and x.batched and any(pairs[0] + pairs[1]):
        channels = pairs[2] != (0, 0)
        end = tuple(n + sum(p) for n, p in zip(shape[:2], pairs[:2], strict=True))
        x = b.node("pad", (x,), (*end, shape[2]), f"{suffix}_border" if channels else suffix,
                   padding=pairs[:2])  # fmt: skip
        pairs, shape = ((0, 0), (0, 0), pairs[2]), b.shape(x)
    if all(pair == (0, 0) for pair in pairs):
        return x
    if len(shape) == 2 and x.batched and pairs[1] == (0, 0):  # a sequence
        column = b.reshaped(x, (shape[0], 1, shape[1]), True, f"{suffix}_column")
        longer = padded(b, column, (pairs[0], (0, 0), (0, 0)), f"{suffix}_padded")
        return b.reshaped(longer, (shape[0] + sum(pairs[0]), shape[1]), True, suffix)
    if any(pair != (0, 0) for pair in pairs[:-1]):
        raise UncoveredError(f"a padding of {pairs} on {shape}")
    end = (*shape[:-1], shape[-1] + sum(pairs[-1]))
    return b.node("pad_channels", (x,), end, suffix, before=pairs[-1][0], after=pairs[-1][1])


def slice_(b: FileBuilder, op: Operator) -> None:
    x = b.value(op)
    begin, size = b.integers(op, 1, "a begin"), b.integers(op, 2, "a size")
    shape = _full(b, x)
    if not len(begin) == len(size) == len(shape):
        raise UncoveredError(f"a slice of {len(begin)} axes of a value of {len(shape)}")
    parts = [
        (first, n if count == -1 else first + count, 1)
        for first, count, n in zip(begin, size, shape, strict=True)
    ]
    b.give(op, _cut(b, x, parts))


def strided_slice(b: FileBuilder, op: Operator) -> None:
    x, o = b.value(op), op.options
    begin, end, steps = (
        b.integers(op, k, what) for k, what in ((1, "a begin"), (2, "an end"), (3, "strides"))
    )
    shape = _full(b, x)
    if o["EllipsisMask"] or o["NewAxisMask"] or o["Offset"] or min(steps, default=1) < 1:
        raise UncoveredError("a slice with an ellipsis, new axes or negative strides")
    if not len(begin) == len(end) == len(steps) <= len(shape):
        raise UncoveredError(f"a slice of {len(begin)} axes of a value of {len(shape)}")
    parts: list[Part] = [(0, n, 1) for n in shape]
    for k, n in enumerate(shape[: len(begin)]):
        first = 0 if o["BeginMask"] >> k & 1 else _index(begin[k], n)
        last = n if o["EndMask"] >> k & 1 else _index(end[k], n)
        parts[k] = (first, first + 1 if o["ShrinkAxisMask"] >> k & 1 else last, steps[k])
    y = _cut(b, x, parts, "_part" if o["ShrinkAxisMask"] else "")
    if o["ShrinkAxisMask"]:
        told, batched = b.same_size(op, y)
        y = b.reshaped(y, told, batched, "")
    b.give(op, y)


def _index(index: int, size: int) -> int:
    return min(max(index + size if index < 0 else index, 0), size)


def _full(b: FileBuilder, x: Value) -> tuple[int, ...]:
    """A value's shape as the tensor has it."""
    return (b.images, *b.shape(x)) if x.batched else b.shape(x)


def _cut(b: FileBuilder, x: Value, parts: list[Part], suffix: str = "") -> Value:
    """A part of a value, from parts of all axes of its tensor."""
    full = _full(b, x)
    if x.batched and parts[0] != (0, b.images, 1):
        raise UncoveredError("a part of the images")
    sizes = [len(range(*part)) for part in parts]
    if not all(0 <= p[0] < p[1] <= n for p, n in zip(parts, full, strict=True)):
        raise UncoveredError(f"a slice {parts} of a value of shape {full}")
    inner, end = parts[x.batched :], tuple(sizes[x.batched :])
    shape = b.shape(x)
    if end == shape:
        return x
    image = len(shape) == 3 and x.batched and end[2] == shape[2]
    if image and all(step == 1 for _, _, step in inner):
        cropping = tuple((p[0], n - p[1]) for p, n in zip(inner[:2], shape[:2], strict=True))
        return b.node("crop", (x,), end, suffix, cropping=cropping)
    return b.node("slice", (x,), end, suffix, parts=tuple(inner))


def split(axis_at: int, value_at: int) -> Rule:
    def rule(b: FileBuilder, op: Operator) -> None:
        x, (axis,) = b.value(op, value_at), b.integers(op, axis_at, "an axis")
        k, full = b.axis(x, axis), b.shape(x)
        outputs = [b.model.tensors[t].shape for t in op.outputs]
        sizes = [shape[k + x.batched] if len(shape) > k + x.batched else 0 for shape in outputs]
        if sum(sizes) != full[k]:
            raise UncoveredError(f"parts of {sizes} of a value of shape {full}")
        start = 0
        for n, size in enumerate(sizes):
            parts: list[Part] = [(0, m, 1) for m in _full(b, x)]
            parts[k + x.batched] = (start, start + size, 1)
            b.give(op, _cut(b, x, parts, f"_{n + 1}"), n)
            start += size

    return rule


def unpack(b: FileBuilder, op: Operator) -> None:
    x = b.value(op)
    k = b.axis(x, op.options["Axis"])
    for n in range(len(op.outputs)):
        parts: list[Part] = [(0, m, 1) for m in _full(b, x)]
        parts[k + x.batched] = (n, n + 1, 1)
        one = _cut(b, x, parts, f"_part_{n + 1}")
        shape = b.shape(one)
        b.give(op, b.reshaped(one, shape[:k] + shape[k + 1 :], x.batched, f"_{n + 1}"), n)


def pack(b: FileBuilder, op: Operator) -> None:
    values = [b.value(op, k) for k in range(len(op.inputs))]
    rank = len(b.shape(values[0])) + values[0].batched + 1
    k = op.options["Axis"] % rank - values[0].batched
    if k < 0:
        raise UncoveredError("the axis that counts images")
    wider = [
        b.reshaped(v, (*b.shape(v)[:k], 1, *b.shape(v)[k:]), v.batched, f"_{n + 1}")
        for n, v in enumerate(values)
    ]
    b.give(op, _joined(b, wider, k))


def concatenation(b: FileBuilder, op: Operator) -> None:
    values = [b.value(op, k) for k in range(len(op.inputs))]
    k = b.axis(values[0], op.options["Axis"])
    b.give(op, values[0] if len(values) == 1 else _joined(b, values, k))


def _joined(b: FileBuilder, values: list[Value], axis: int) -> Value:
    shapes = [b.shape(v) for v in values]
    if len({(v.batched, s[:axis], s[axis + 1 :]) for v, s in zip(values, shapes, strict=True)}) > 1:
        raise UncoveredError(f"a concatenation of shapes {shapes}")
    end = (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])
    return b.node("concatenate", tuple(values), end, axis=axis + 1)


def depth_to_space(b: FileBuilder, op: Operator) -> None:
    x, n = b.value(op), op.options["BlockSize"]
    height, width, channels = b.image_shape(x)
    if n < 1 or channels % (n * n):
        raise UncoveredError(f"blocks of {n} of {channels} channels")
    depth = channels // (n * n)
    x = b.reshaped(x, (height, width, n, n, depth), True, "_blocks")
    moved = (height, n, width, n, depth)
    x = b.node("permute", (x,), moved, "_order", dims=(1, 3, 2, 4, 5))
    b.give(op, b.reshaped(x, (height * n, width * n, depth), True, ""))


def space_to_depth(b: FileBuilder, op: Operator) -> None:
    x, n = b.value(op), op.options["BlockSize"]
    height, width, channels = b.image_shape(x)
    if n < 1 or height % n or width % n:
        raise UncoveredError(f"blocks of {n} of an image of {height} by {width}")
    x = b.reshaped(x, (height // n, n, width // n, n, channels), True, "_blocks")
    moved = (height // n, width // n, n, n, channels)
    x = b.node("permute", (x,), moved, "_order", dims=(1, 3, 2, 4, 5))
    b.give(op, b.reshaped(x, (height // n, width // n, n * n * channels), True, ""))


def gather(b: FileBuilder, op: Operator) -> None:
    """Neighbouring indices along an axis; others are not covered."""
    x, chosen = b.value(op), b.stored(op, 1)
    k = b.axis(x, op.options["Axis"])
    if chosen is None or chosen.ndim > 1 or op.options["BatchDims"] or not chosen.size:
        raise UncoveredError("indices that are not stored in the file")
    flat = [int(n) for n in chosen.reshape(-1)]
    step = flat[1] - flat[0] if len(flat) > 1 else 1
    if step < 1 or flat != list(range(flat[0], flat[0] + step * len(flat), step)):
        raise UncoveredError("indices that are not evenly spaced")
    parts: list[Part] = [(0, m, 1) for m in _full(b, x)]
    parts[k + x.batched] = (flat[0], flat[-1] + 1, step)
    y = _cut(b, x, parts, "" if chosen.ndim else "_part")
    told, batched = b.same_size(op, y)
    b.give(op, b.reshaped(y, told, batched, ""))
