"""Short names for what operators of a .tflite file compute, from the names of the file's tensors.

TensorFlow's converter calls an operator's output by the operations that went into it, joined by
";", each by its path of scopes: "net/bn/FusedBatchNormV3;net/conv/Conv2D1". What all paths begin
with is left out, and so is the operation at the end: "conv". Names without paths are taken as they
are; what says nothing ("Identity") is called by its operator.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from tfqdyn.tflite.file import Operator, TfliteModel

LONGEST = 48
SHARED = 0.8
"""Paths begin with a scope that says nothing if this share of them, or more, begins with it."""
_OF_KINDS = {
    "ADD": ("Add", "AddV2"),
    "MUL": ("Mul",),
    "SUB": ("Sub",),
    "CONV_2D": ("Conv2D", "convolution", "Conv1D"),
    "DEPTHWISE_CONV_2D": ("depthwise", "DepthwiseConv2dNative", "depthwise_conv2d"),
    "FULLY_CONNECTED": ("MatMul", "Tensordot"),
    "TRANSPOSE_CONV": ("conv2d_transpose", "Conv2DBackpropInput"),
}
"""What TensorFlow calls the operations that become an operator, where others may go into it."""
_OPERATIONS = frozenset(
    (
        *(word.lower() for words in _OF_KINDS.values() for word in words),
        "add", "addv2", "avgpool", "biasadd", "clip_by_value", "concat", "elu", "exp",
        "expanddims", "fusedbatchnormv3", "gelu", "leakyrelu", "logistic", "logsoftmax", "max",
        "maximum", "maxpool", "mean", "minimum", "mul", "mul_1", "neg", "pad", "readvariableop",
        "realdiv", "relu", "relu6", "reshape", "resize", "resizebilinear",
        "resizenearestneighbor", "resource", "rsqrt", "sigmoid", "slice", "softmax", "split",
        "squeeze", "strided_slice", "sub", "sum", "tanh", "transpose", "truediv",
        "add_1", "transpose_1", "maxpool2d", "avgpool2d", "batchtospacend", "batchnorm",
    )
)  # fmt: skip
"""Ends of paths that name an operation of TensorFlow's, in lower case."""
_NUMBER = re.compile(r"_\d+$")
_NOTHING = re.compile(r"(Identity|StatefulPartitionedCall|PartitionedCall|tfl|arith)?[\W\d_]*")


def short_names(model: TfliteModel) -> dict[int, str]:
    """For every operator a name, by its index; not yet unique."""
    paths = {op.index: _paths(model, op) for op in model.operators if op.outputs}
    common = _common([path for found in paths.values() for path in found if len(path) > 1])
    short = {index: [_without(path, common) for path in found] for index, found in paths.items()}
    layers = [path[0] for found in short.values() for path in found if len(path) > 1]
    numbered = sum(bool(_NUMBER.search(layer)) for layer in layers) > SHARED * len(layers)
    again = numbered and 2 * sum(layer.endswith("_1") for layer in layers) > len(layers)
    kinds = {op.index: op.kind for op in model.operators}
    return {
        index: _name(kinds[index], [_first_call(path) if again else path for path in found])
        for index, found in short.items()
    }


def name_of_input(name: str) -> str:
    """The name of a file's input as the network's author knows it."""
    return _clean(re.sub(r":\d+$", "", name).removeprefix("serving_default_")) or "input"


def _paths(model: TfliteModel, op: Operator) -> list[tuple[str, ...]]:
    parts = re.sub(r":\d+$", "", model.tensors[op.outputs[0]].name).split(";")
    return [tuple(scope for scope in part.split("/") if scope) for part in parts]


def _common(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The scopes that most paths begin with."""
    common: tuple[str, ...] = ()
    left = [path for path in paths if len(path) > 1]
    while left:
        depth = len(common)
        ((scope, count),) = Counter(path[depth] for path in left).most_common(1)
        if count < SHARED * len(paths):
            break
        common += (scope,)
        left = [path for path in left if path[depth] == scope and len(path) > depth + 2]
    return common


def _without(path: tuple[str, ...], common: tuple[str, ...]) -> tuple[str, ...]:
    return path[len(common) :] if path[: len(common)] == common else path


def _first_call(path: tuple[str, ...]) -> tuple[str, ...]:
    """A path without the number that Keras' export gives to every layer, mostly "_1"."""
    return (_NUMBER.sub("", path[0]), *path[1:]) if len(path) > 1 else path


def _name(kind: str, paths: Sequence[tuple[str, ...]]) -> str:
    wanted = {word.lower() for word in _OF_KINDS.get(kind, ())}
    chosen = next((p for p in reversed(paths) if p and _operation(p[-1]) in wanted), None)
    if chosen is None and wanted:
        chosen = next((p for p in paths if p and _operation(p[-1]) == "biasadd"), None)
    chosen = chosen or next((p for p in paths if p), ())
    while len(chosen) > 1 and _operation(chosen[-1]) in _OPERATIONS:
        chosen = chosen[:-1]
    name = _clean("_".join(chosen))
    return kind.lower() if _NOTHING.fullmatch(name) else name


def _operation(word: str) -> str:
    """An operation's name in lower case, without the number that makes it unique."""
    word = word.lower()
    return word if word in _OPERATIONS else re.sub(r"_?\d+$", "", word)


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_")[-LONGEST:].lstrip("_")


Names = Mapping[int, str]
"""What `short_names` gives."""
