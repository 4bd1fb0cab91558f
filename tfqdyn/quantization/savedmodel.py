"""The folder of a SavedModel -> a float .tflite file, by TensorFlow's converter.

A SavedModel is a program: loading one runs what it says about resources, and converting one folds
constants by running operations. So the description is first read as data: only pure operations and
variables may be reachable from the signature, and nothing else may be there that loading runs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfqdyn.files.quoting import brief
from tfqdyn.network.modelfile import ModelFileError
from tfqdyn.quantization.conversion import float_file
from tfqdyn.tflite.floatfile import FloatFile

DESCRIPTION = "saved_model.pb"
LARGEST = 2**31 - 1
DEFAULT = "serving_default"
_OF_VARIABLES = frozenset(
    ("NoOp", "PartitionedCall", "Placeholder", "ReadVariableOp", "StatefulPartitionedCall",
     "VarHandleOp")
)  # fmt: skip
"""Operations with state that a network may have."""
_OBJECTS = frozenset(
    ("bare_concrete_function", "captured_tensor", "constant", "function", "user_object", "variable")
)
"""Kinds of objects that loading only makes, without running anything of the file."""


def load(folder: Path) -> FloatFile:
    """The network of a SavedModel folder.

    Args:
        folder: what `model.export(...)` or `tf.saved_model.save(...)` wrote.

    Raises:
        ModelFileError: it is no SavedModel, or one that would run code.
        ConversionError: TensorFlow's converter refuses it.
    """
    meta = _described(folder)
    name = _signature(meta, folder)
    _refuse_code(meta, name, folder)
    import tensorflow as tf  # heavy; the checks above need the records alone

    try:
        loaded: Any = tf.saved_model.load(str(folder))
        function = loaded.signatures[name]
    except Exception as error:  # TensorFlow raises many kinds for what is damaged
        raise ModelFileError(
            f"TensorFlow cannot read the SavedModel {folder}: {brief(error)}"
        ) from error
    for tensor in function.inputs:
        shape = tensor.shape
        given = tensor.dtype != tf.resource
        if given and (shape.rank is None or None in tuple(shape)[1:]):
            raise ModelFileError(
                f"the SavedModel {folder} takes {tuple(shape) if shape.rank else 'any shape'}: "
                "sizes must be fixed; export it with an input signature of the size of your images"
            )
    return FloatFile(folder.name, float_file(function, loaded))


def _described(folder: Path) -> Any:
    """The one network that a SavedModel describes, as records."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise ModelFileError(
            f"{folder} is a folder without {DESCRIPTION}; expected a SavedModel, or a .keras, .h5 "
            "or float .tflite file"
        )
    if path.stat().st_size > LARGEST:
        raise ModelFileError(f"{path} has {path.stat().st_size:,} bytes")
    from tensorflow.core.protobuf import saved_model_pb2

    record = saved_model_pb2.SavedModel()
    try:
        record.ParseFromString(path.read_bytes())
    except Exception as error:
        raise ModelFileError(f"{path} is damaged: {brief(error)}") from error
    if len(record.meta_graphs) != 1 or not record.meta_graphs[0].HasField("object_graph_def"):
        raise ModelFileError(
            f"{path} is damaged, or of TensorFlow 1; save the network with model.export('folder')"
        )
    return record.meta_graphs[0]


def _signature(meta: Any, folder: Path) -> str:
    names = sorted(n for n in meta.signature_def if not n.startswith("__"))
    if DEFAULT in names:
        return DEFAULT
    if len(names) != 1:
        raise ModelFileError(
            f"the SavedModel {folder} should have one signature, or one named {DEFAULT!r}; it has "
            f"{names[:9] or 'none'}; export it with model.export('folder')"
        )
    return names[0]


def _refuse_code(meta: Any, signature: str, folder: Path) -> None:
    """Raises ModelFileError for a SavedModel that would do more than compute."""
    from tensorflow.python.framework import op_def_registry

    objects = {
        node.WhichOneof("kind") if not node.saveable_objects else "object saved by functions"
        for node in meta.object_graph_def.nodes
    }
    found = sorted(str(kind) for kind in objects - _OBJECTS if kind)
    for operation in sorted(set(_operations(meta, signature))):
        known = op_def_registry.get(operation)
        stateful = known is None or known.is_stateful
        suspicious = "File" in operation or "PyFunc" in operation
        if suspicious or (stateful and operation not in _OF_VARIABLES):
            found.append(operation)
    if found:
        raise ModelFileError(
            f"the SavedModel {folder} does more than compute, which is not run: "
            f"{', '.join(found)}; export the network alone, without tables, files and Python code"
        )


def _operations(meta: Any, signature: str) -> Iterator[str]:
    """The operations that a signature's outputs are computed by, in the functions called too."""
    functions = {f.signature.name: f for f in meta.graph_def.library.function}
    nodes = {node.name: node for node in meta.graph_def.node}
    called: list[Any] = []
    seen: set[str] = set()
    waiting = [t.name.split(":")[0] for t in meta.signature_def[signature].outputs.values()]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        called.append(nodes[name])
        waiting += [i.split(":")[0].removeprefix("^") for i in nodes[name].input]
    entered: set[str] = set()
    while called:
        node = called.pop()
        if node.op in functions:
            called += _entered(functions, node.op, entered)
        else:
            yield node.op
        for value in node.attr.values():
            for inner in (value.func.name, *(f.name for f in value.list.func)):
                called += _entered(functions, inner, entered)


def _entered(functions: dict[str, Any], name: str, entered: set[str]) -> list[Any]:
    """A function's nodes, the first time that it is met."""
    if name in entered or name not in functions:
        return []
    entered.add(name)
    return list(functions[name].node_def)
