"""Model files: hostile descriptions, damaged archives, arrays that are not what they seem."""

import io
import json
import os
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hostile import damage, gadgets
from hostile.attempts import analyze_model, command
from hostile.material import Material

Attempt = Callable[[], Any]
WEIGHTS = "model.weights.h5"
NETWORKS = ("f", "s", "n")


def described(material: Material, suffix: str, name: str) -> Any:
    """The description in a sound file."""
    content = io.BytesIO(material.content(f"{name}.{suffix}"))
    if suffix == "keras":
        with zipfile.ZipFile(content) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(content) as file:
        return json.loads(file.attrs["model_config"])


def write_model(path: Path, description: Any, material: Material, name: str = "f") -> Path:
    """A `.keras` or `.h5` file with another description than the sound one it is made of."""
    text = description if isinstance(description, bytes) else json.dumps(description).encode()
    if path.suffix == ".keras":
        with zipfile.ZipFile(io.BytesIO(material.content(f"{name}.keras"))) as archive:
            weights = archive.read(WEIGHTS)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", text)
            archive.writestr(WEIGHTS, weights)
    else:
        path.write_bytes(material.content(f"{name}.h5"))
        with h5py.File(path, "a") as file:
            del file.attrs["model_config"]
            text = text.replace(b"\0", b" ")  # ends a text in HDF5
            file.attrs.create("model_config", text, dtype=h5py.string_dtype())
    return path


def arrays(file: h5py.File) -> list[Any]:
    """The stored weights."""
    found: list[Any] = []
    weights: Any = file["model_weights"]
    weights.visititems(lambda _, o: found.append(o) if isinstance(o, h5py.Dataset) else None)
    return found


def opened(path: Path, rng: random.Random) -> Attempt:
    """Nineteen in twenty are opened by the library, the others by the command."""
    if rng.random() < 0.05:
        out = path.parent / "out"
        data = path.parent.parent / "material" / "d.npz"
        return lambda: command("analyze", f"--model={path}", f"--data={data}", f"--out={out}")
    return lambda: analyze_model(path, rng)


def gadget_layers(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Every gadget in turn, in every place in turn; two in three in `.keras` files."""
    known = gadgets.layers(folder / "trap", folder / "secret")
    made = known[list(known)[number % len(known)]]
    place = gadgets.PLACES[(number // len(known) + number) % len(gadgets.PLACES)]
    rounds = len(known) * len(gadgets.PLACES)
    model = damage.tree(rng, place(made)) if number >= rounds else place(made)
    suffix = rng.choice(("keras", "keras", "h5"))
    return opened(write_model(folder / f"m.{suffix}", model, material), rng)


def gadget_values(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Gadgets in the place of a layer's arguments, or of any value of a sound description."""
    suffix, name = rng.choice(("keras", "h5")), rng.choice(NETWORKS)
    known = gadgets.values(folder / "trap")
    value = known[list(known)[number % len(known)]]
    model = described(material, suffix, name)
    if rng.random() < 0.5:
        model = rng.choice(gadgets.PLACES[:4])(rng.choice(gadgets.holders(value)))
    sound = model
    while value not in _values(model):
        model = damage.tree(rng, model if _values(model) else sound, more=(value,) * 150)
    return opened(write_model(folder / f"m.{suffix}", model, material, name), rng)


def _values(record: Any) -> list[Any]:
    inner = record.values() if isinstance(record, dict) else record
    if not isinstance(record, (dict, list)):
        return []
    return [*inner, *(found for item in inner for found in _values(item))]


def gadget_functions(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """TFOpLambda with every function of TensorFlow that takes files or code, called at once."""
    names = gadgets.functions_of_tensorflow()
    made, node = gadgets.op_lambda(
        names[number % len(names)], folder / "trap", constant=rng.random() < 0.8
    )
    model = gadgets.functional(made, node)
    if rng.random() < 0.3:
        model = gadgets.functional({**model, "name": "e"})
    if rng.random() < 0.3:
        model = damage.tree(rng, model)
    suffix = "h5" if rng.random() < 0.8 else "keras"
    return opened(write_model(folder / f"m.{suffix}", model, material), rng)


def descriptions(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Sound descriptions with values gone, doubled, moved or replaced."""
    suffix, name = rng.choice(("keras", "h5")), rng.choice(NETWORKS)
    model: Any = damage.tree(rng, described(material, suffix, name))
    if rng.random() < 0.05:
        model = damage.bytes_of(rng, json.dumps(model).encode())
    return opened(write_model(folder / f"m.{suffix}", model, material, name), rng)


def large_layers(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Counts and sizes that no file has the weights for, and outputs that no memory holds."""
    suffix, name = rng.choice(("keras", "h5")), rng.choice(NETWORKS)
    model = described(material, suffix, name)
    large = rng.choice([10**3, 10**5, 10**8, 2**31 - 1, 2**31, 2**40, 10**30])
    k = {"module": "keras.layers", "registered_name": None}
    added = rng.choice([
        gadgets.entry("UpSampling2D", {"size": [large, large]}, **k),
        gadgets.entry("ZeroPadding2D", {"padding": [[large, large], [0, large]]}, **k),
        gadgets.entry("Resizing", {"height": large, "width": large}, **k),
        gadgets.entry("Conv2DTranspose", {"filters": 1, "kernel_size": 1, "strides": large}, **k),
        gadgets.entry("RepeatVector", {"n": large}, **k),
        gadgets.entry("Reshape", {"target_shape": [large, -1]}, **k),
        gadgets.entry("Dense", {"units": large}, **k),
        gadgets.entry("Conv2D", {"filters": large, "kernel_size": [large, 1]}, **k),
        gadgets.entry("DepthwiseConv2D", {"kernel_size": 1, "depth_multiplier": large}, **k),
        gadgets.entry("SeparableConv2D", {"filters": 2, "kernel_size": large}, **k),
        gadgets.entry("AveragePooling2D", {"pool_size": large, "padding": "same"}, **k),
        gadgets.entry("Embedding", {"input_dim": large, "output_dim": large}, **k),
    ])  # fmt: skip
    if rng.random() < 0.5:
        model = rng.choice([gadgets.sequential, gadgets.functional_3])(added)
    else:
        _enlarge(rng, model, large)
    return opened(write_model(folder / f"m.{suffix}", model, material, name), rng)


def _enlarge(rng: random.Random, model: Any, large: int) -> None:
    """Some numbers of a description become large."""
    numbers = [(h, k) for h, k in damage.places(model) if type(h[k]) is int]
    for holder, key in rng.sample(numbers, min(len(numbers), rng.choice([1, 2, 5]))):
        holder[key] = large


def names(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Sound models whose layers have names that terminals, Rich or HTML would obey."""
    suffix, name = rng.choice(("keras", "keras", "keras", "h5")), rng.choice(NETWORKS)
    model = described(material, suffix, name)
    known = sorted({layer["config"]["name"] for layer in model["config"]["layers"]})
    text = json.dumps(model)
    for layer in rng.sample(known, min(len(known), rng.choice([1, 2, 9]))):
        text = text.replace(json.dumps(layer), json.dumps(rng.choice(damage.NAMES) + layer[:1]))
    path = write_model(folder / f"m.{suffix}", json.loads(text), material, name)
    data, out = material.folder / "d.npz", folder / "out"
    return lambda: command("analyze", f"--model={path}", f"--data={data}", f"--out={out}")


def damaged_bytes(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Sound files with bytes changed."""
    suffix = ("keras", "h5")[number % 2]
    path = folder / f"m.{suffix}"
    path.write_bytes(damage.bytes_of(rng, material.content(f"{rng.choice(NETWORKS)}.{suffix}")))
    return opened(path, rng)


def damaged_weights(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Sound archives whose HDF5 member has bytes changed; its checksum is right."""
    name = rng.choice(NETWORKS)
    with zipfile.ZipFile(io.BytesIO(material.content(f"{name}.keras"))) as archive:
        held = {member: archive.read(member) for member in archive.namelist()}
    held[WEIGHTS] = damage.bytes_of(rng, held[WEIGHTS])
    with zipfile.ZipFile(folder / "m.keras", "w") as archive:
        for member, content in held.items():
            archive.writestr(member, content)
    return opened(folder / "m.keras", rng)


def archives(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Archives that Keras does not write: bombs, doubled, encrypted, missing, climbing members."""
    path = folder / "m.keras"
    with zipfile.ZipFile(io.BytesIO(material.content("f.keras"))) as archive:
        held = [(name, archive.read(name)) for name in archive.namelist()]
    method = rng.choice([zipfile.ZIP_STORED, *[zipfile.ZIP_DEFLATED] * 2, zipfile.ZIP_BZIP2,
                         zipfile.ZIP_LZMA])  # fmt: skip
    kind = rng.randrange(10)
    if kind == 0:
        held = [(name, bytes(rng.choice([2**20, 2**26]))) for name, _ in held]
    elif kind == 1:
        held += [rng.choice(held)]
    elif kind == 2:
        held.remove(rng.choice(held))
    elif kind == 3:
        held += [("../../escaped", b"x"), ("/tmp/escaped", b"x"), ("..\\escaped", b"x")]
    elif kind == 4:
        held = [(f"../{name}" if rng.random() < 0.5 else name.upper(), c) for name, c in held]
    elif kind == 5:
        held = [(name, b"" if rng.random() < 0.5 else c[: len(c) // 2]) for name, c in held]
    elif kind == 6:
        held = [(name, rng.randbytes(5000)) for name, _ in held]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a name is there twice
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in held:
                archive.writestr(name, content)
    content = bytearray(path.read_bytes())
    if kind >= 7:  # the central directory says something else than the members do
        start = content.rfind(b"PK\x01\x02")
        field = rng.choice([6, 8, 10, 16, 20, 24, 28, 30, 32, 38, 42])
        content[start + field : start + field + 4] = struct.pack(
            "<I", rng.choice([0, 1, 2**31 - 1, 2**32 - 2, 2**32 - 1, rng.randrange(2**32)])
        )
        path.write_bytes(content)
    return opened(path, rng)


def structures(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """HDF5 files with links, filters, types and sizes that Keras does not write."""
    path = folder / "m.h5"
    path.write_bytes(material.content(f"{rng.choice(NETWORKS)}.h5"))
    secret = str(folder / "secret")
    with h5py.File(path, "a") as file:
        stored = rng.choice(arrays(file))
        name, group = stored.name, stored.parent
        values, shape = np.asarray(stored), stored.shape
        for _ in range(rng.choice([1, 1, 2])):
            kind = rng.randrange(18)
            if kind < 15 and name in file:
                del file[name]
            if kind == 0:
                file[name] = h5py.ExternalLink(secret, "/")
            elif kind == 1:
                file[name] = h5py.SoftLink(rng.choice(["/", "/model_weights", "/nowhere", name]))
            elif kind == 2:
                file[name] = file["model_weights"]
            elif kind == 3:
                file.create_dataset(name, shape, "f4", external=[(secret, 0, values.nbytes)])
            elif kind == 4:
                layout = h5py.VirtualLayout(shape, "f4")
                layout[...] = h5py.VirtualSource(secret, "x", shape)
                file.create_virtual_dataset(name, layout)
            elif kind == 5:
                large = (rng.choice([2**20, 2**33, 2**44]), *shape)
                file.create_dataset(name, large, "f4", chunks=(1, *shape))
            elif kind == 6:
                file.create_dataset(name, data=values, chunks=shape or None,
                                    **rng.choice([{"compression": "gzip"}, {"shuffle": True},
                                                  {"fletcher32": True}]))  # fmt: skip
            elif kind == 7:
                file[name] = rng.choice([
                    np.array(["a", "b"], object), values.astype("c8"), np.array([b"abc"]),
                    np.zeros(3, [("a", "f4")]), np.array("x", object), np.zeros(4, "V3"),
                ])  # fmt: skip
            elif kind == 8:
                file[name] = values.astype(rng.choice(["f2", "f8", "i1", "u8", "?", ">f4"]))
            elif kind == 9:
                file[name] = values.reshape(-1)
            elif kind == 10:
                file[name] = np.zeros((*shape, 2), "f4")
            elif kind == 11:
                file.create_dataset(name, data=h5py.Empty("f4"))
            elif kind == 12:
                file.create_group(name)
            elif kind == 13:
                file[name] = np.dtype("f4")
            elif kind == 14:
                pass
            elif kind == 15:
                group.attrs["weight_names"] = rng.choice([
                    [b"x"], 3, "x", [name.encode()] * 1000, np.zeros((2, 2)), ["../../../../x"],
                ])  # fmt: skip
            elif kind == 16:
                owner = rng.choice([file, file["model_weights"], group])
                owner.attrs[rng.choice(["layer_names", "keras_version", "backend", "x"])] = (
                    rng.choice(
                        [["x"], 3.5, "", ["a" * 5000] * 5, np.arange(99.0), h5py.Empty("f4")]
                    )
                )
            else:
                del file.attrs["model_config"]
                file.attrs["model_config"] = rng.choice(["", "{", "[]", "3", 3.5, ["{}", "{}"]])
    return opened(path, rng)


def values(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Weights that are NaN, infinite, at the ends of float32, denormal, or all the same."""
    name = rng.choice(NETWORKS)
    path = folder / "m.h5"
    path.write_bytes(material.content(f"{name}.h5"))
    with h5py.File(path, "a") as file:
        found = arrays(file)
        for stored in rng.sample(found, rng.choice([1, 1, 2, len(found)])):
            new = np.asarray(stored).copy()
            value = rng.choice([
                np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e20, -1.0, 0.0, 1e-45, 1e-38, 1e-7, 1e7,
            ])  # fmt: skip
            if rng.random() < 0.5:
                new[...] = value
            else:
                new.flat[rng.randrange(new.size)] = value
            stored[...] = new
    return opened(path, rng)


def paths(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """What is no file, or no such file."""
    path = folder / rng.choice(["m.keras", "m.h5", "m.hdf5", "m.weights.h5", "m.pb", "m", "é\n.h5"])
    kind = rng.randrange(9)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to(rng.choice(["/dev/zero", "/dev/full", str(path), "/proc/self/mem", "/"]))
    elif kind == 3:
        path.write_bytes(b"")
    elif kind == 4:
        path.write_bytes(rng.randbytes(rng.randrange(1, 9000)))
    elif kind == 5:
        path.write_bytes(material.content(rng.choice(["d.npz", "uint8.tflite", "i.png", "s.h5"])))
    elif kind == 6:
        path.write_bytes(
            rng.choice([b"PK\x05\x06" + bytes(18), b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"])
        )
    elif kind == 7:
        path.write_bytes(material.content("f.keras" if path.suffix != ".keras" else "f.h5"))
    return opened(path, rng)
