"""`.tflite` files: damaged bytes, and damaged models that are sound flatbuffers."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hostile import damage
from hostile.attempts import analyze_files, analyze_float, analyze_tflite, command
from hostile.material import SCHEMES, Material

Attempt = Callable[[], Any]


def opened(path: Path, rng: random.Random, material: Material) -> Attempt:
    """Nineteen in twenty are opened by the library, the others by the command.

    One in four is held against the float file instead of the model, as either of the two; of the
    others three in ten are models themselves.
    """
    if rng.random() < 0.05:
        folder = material.folder
        model = [f"--model={folder}/f.keras", f"--tflite={path}"]
        model = rng.choice([model, model, [f"--model={path}"]])
        given = [*model, f"--data={folder}/d.npz"]
        return lambda: command("analyze", *given, f"--out={path.parent}/out")
    if rng.random() < 0.25:
        pair = rng.sample([path, material.folder / "float32.tflite"], 2)
        return lambda: analyze_files(*pair, material)
    if rng.random() < 0.3:
        return lambda: analyze_float(path, material)
    return lambda: analyze_tflite(path, material)


def file_bytes(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Sound files with bytes changed."""
    path = folder / "m.tflite"
    path.write_bytes(damage.bytes_of(rng, material.content(f"{rng.choice(SCHEMES)}.tflite")))
    return opened(path, rng, material)


def unpacked(rng: random.Random, material: Material) -> Any:
    """A sound model as objects."""
    content = material.content(f"{rng.choice(SCHEMES)}.tflite")
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def packed(path: Path, model: Any) -> Path:
    """A model as a file."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def fields(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Operators, tensors, options and buffers that say something else."""
    while True:
        model = unpacked(rng, material)
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            rng.choice([operator, operator, tensor, tensor, options, options, data, whole])(
                rng, model
            )
        if rng.random() < 0.03:
            model.subgraphs = rng.choice([[], model.subgraphs * 2])
        try:
            path = packed(folder / "m.tflite", model)
        except Exception:  # not every value can be stored
            continue
        return opened(path, rng, material)


def circles(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Operators that read what they, or those behind them, write."""
    model = unpacked(rng, material)
    (graph,) = model.subgraphs
    for _ in range(rng.choice([1, 2, 5])):
        reader, writer = rng.choice(graph.operators), rng.choice(graph.operators)
        if rng.random() < 0.5:
            _set(reader, "inputs", 0, writer.outputs[0])
        else:
            _set(writer, "outputs", 0, reader.inputs[0])
        if rng.random() < 0.3:
            reader.opcodeIndex = writer.opcodeIndex
    if rng.random() < 0.3:
        rng.shuffle(graph.operators)
    return opened(packed(folder / "m.tflite", model), rng, material)


def constants(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Scales, zero points and weights that are NaN, infinite, zero, negative, huge or tiny."""
    model = unpacked(rng, material)
    (graph,) = model.subgraphs
    numbers = [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-45, 1e-30, 1e30, 3e38, 1.0]
    for _ in range(rng.choice([1, 1, 2, 6])):
        tensor = rng.choice(graph.tensors)
        stored, quantization = model.buffers[tensor.buffer].data, tensor.quantization
        if tensor.type == schema.TensorType.FLOAT32 and stored is not None and len(stored) >= 4:
            values = np.array(stored, np.uint8).view("<f4").copy()
            values[rng.randrange(len(values))] = rng.choice(numbers)
            model.buffers[tensor.buffer].data = values.view(np.uint8)
        elif (
            quantization is not None and quantization.scale is not None and len(quantization.scale)
        ):
            scales = np.array(quantization.scale, np.float32)
            scales[rng.randrange(len(scales))] = rng.choice(numbers)
            quantization.scale = scales
            if rng.random() < 0.3:
                points = rng.choice([-129, -128, 127, 128, 255, 256, 2**40, -(2**62)])
                quantization.zeroPoint = np.full(len(scales), points, np.int64)
    return opened(packed(folder / "m.tflite", model), rng, material)


def paths(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """What is no `.tflite` file."""
    path = folder / "m.tflite"
    kind = rng.randrange(6)
    if kind == 0:
        names = ["f.keras", "f.h5", "d.npz", "i.png"]
        path.write_bytes(material.content(rng.choice(names)))
    elif kind == 1:
        path.write_bytes(rng.choice([b"", b"TFL3", bytes(4) + b"TFL3", b"\xff" * 4 + b"TFL3" * 99]))
    elif kind == 2:
        path.write_bytes(rng.randbytes(4) + b"TFL3" + rng.randbytes(rng.randrange(5000)))
    elif kind == 3:
        content = material.content(f"{rng.choice(SCHEMES)}.tflite")
        path.write_bytes(content[: rng.randrange(len(content))])
    elif kind == 4:
        path.mkdir()
    else:
        path.write_bytes(material.content("uint8.tflite") + rng.randbytes(5000))
    if rng.random() < 0.1 and path.is_file():
        path.unlink()
        os.mkfifo(path)
    return opened(path, rng, material)


def _set(owner: Any, name: str, position: int, value: Any) -> None:
    values = list(getattr(owner, name))
    values[position] = value
    setattr(owner, name, np.array(values, np.int32))


def operator(rng: random.Random, model: Any) -> None:
    (graph,) = model.subgraphs
    if not graph.operators:
        return
    op = rng.choice(graph.operators)
    kind, last = rng.randrange(6), len(graph.tensors)
    index = rng.choice([-1, -2, 0, 1, 2, rng.randrange(last), last - 1, last, 10**6, 2**31 - 1])
    if kind < 3:
        name = rng.choice(["inputs", "outputs"])
        values = list(getattr(op, name))
        if values:
            values[rng.randrange(len(values))] = index
        if rng.random() < 0.2:
            values = rng.choice([[], [*values, index], values[:1], values * 9])
        setattr(op, name, np.array(values, np.int32))
    elif kind == 3:
        op.opcodeIndex = rng.choice([0, 1, 2, 5, 99, 2**31 - 1])
    elif kind == 4:
        graph.operators.insert(rng.randrange(len(graph.operators)), op)
    else:
        graph.operators.remove(op)


def tensor(rng: random.Random, model: Any) -> None:
    (graph,) = model.subgraphs
    tensor = rng.choice(graph.tensors)
    kind = rng.randrange(6)
    if kind == 0 and tensor.shape is not None and len(tensor.shape):
        sizes = [0, -1, 1, 2, 7, 1000, 2**16, 2**31 - 1, -(2**31)]
        tensor.shape = np.array(tensor.shape, np.int32)
        tensor.shape[rng.randrange(len(tensor.shape))] = rng.choice(sizes)
    elif kind == 1:
        tensor.shape = np.array(
            rng.choice([[], [1], [1] * 9, [2**20, 2**20], [4, 8, 8, 3]]), np.int32
        )
    elif kind == 2:
        tensor.type = rng.choice([*range(20), 99])
    elif kind == 3:
        tensor.buffer = rng.choice([0, 1, rng.randrange(len(model.buffers)), 10**6])
    elif kind == 4:
        tensor.quantization = rng.choice([None, rng.choice(graph.tensors).quantization])
    else:
        tensor.name = rng.choice([None, "", "a" * 70_000, "\x1b[31m", "</script>", "é"])
        signature = rng.choice([None, [-1] * 4, [3], [2**31 - 1] * 9])
        tensor.shapeSignature = None if signature is None else np.array(signature, np.int32)


def options(rng: random.Random, model: Any) -> None:
    (graph,) = model.subgraphs
    op = rng.choice(graph.operators)
    if op.builtinOptions is None or rng.random() < 0.1:
        op.builtinOptionsType = rng.choice([0, 1, 5, 8, 22, 100])
        return
    names = [k for k, v in vars(op.builtinOptions).items() if isinstance(v, (int, float))]
    if names:
        value = rng.choice([0, 1, 2, 3, 5, 7, 100, 127, -1, -128, 2**31 - 1])
        setattr(op.builtinOptions, rng.choice(names), value)


def data(rng: random.Random, model: Any) -> None:
    buffer = rng.choice(model.buffers)
    if buffer.data is not None and len(buffer.data):
        content = damage.bytes_of(rng, np.array(buffer.data, np.uint8).tobytes())
        buffer.data = np.frombuffer(content, np.uint8)
    elif rng.random() < 0.3:
        buffer.offset, buffer.size = rng.choice([(2, 99), (2**40, 2**40), (100, 2**63)])


def whole(rng: random.Random, model: Any) -> None:
    (graph,) = model.subgraphs
    kind = rng.randrange(8)
    if kind == 0:
        name = rng.choice(["inputs", "outputs"])
        known = list(getattr(graph, name))
        new = rng.choice([[], known * 2, [0], [-1], [10**6], [len(graph.tensors) - 1]])
        setattr(graph, name, np.array(new, np.int32))
    elif kind == 1:
        rng.shuffle(graph.operators)
    elif kind == 2:
        graph.operators = graph.operators[: rng.randrange(len(graph.operators) or 1)]
    elif kind == 3:
        code = rng.choice(model.operatorCodes)
        code.builtinCode = code.deprecatedBuiltinCode = rng.choice([0, 1, 3, 9, 22, 32, 77, 126])
    elif kind == 4:
        rng.choice(model.operatorCodes).customCode = rng.choice(["x", "../x", "é" * 999])
    elif kind == 5:
        graph.operators = graph.operators * 300
    elif kind == 6:
        graph.tensors += [rng.choice(graph.tensors)] * 3000
    else:
        model.version = rng.choice([0, 2, 99])
