"""Images: damaged archives, absurd sizes, pixels that are no numbers, files under other names."""

import io
import os
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hostile import damage
from hostile.attempts import analyze_data, command
from hostile.material import SIZE, Material

Attempt = Callable[[], Any]
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def opened(path: Path, rng: random.Random, material: Material) -> Attempt:
    """Nineteen in twenty are opened by the library, the others by the command."""
    if rng.random() < 0.05:
        model, out = material.folder / "f.keras", path.parent / "out"
        return lambda: command("analyze", f"--model={model}", f"--data={path}", f"--out={out}")
    return lambda: analyze_data(path, material)


def npy(array: Any) -> bytes:
    """An array as a `.npy` file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    """An archive of these members."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def sound(rng: random.Random) -> dict[str, Any]:
    """Arrays of a sound data set."""
    drawn = np.random.default_rng(rng.randrange(2**32))
    x = drawn.integers(0, 256, (5, *SIZE, 3)).astype(np.uint8)
    return {"x_test": x, "y_test": drawn.integers(0, 3, 5)}


def archive_bytes(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Archives of every method with bytes changed."""
    path = folder / "d.npz"
    write_zip(path, {f"{k}.npy": npy(v) for k, v in sound(rng).items()}, rng.choice(METHODS))
    path.write_bytes(damage.bytes_of(rng, path.read_bytes()))
    return opened(path, rng, material)


def array_bytes(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Sound archives of damaged arrays; their checksums are right."""
    members = {f"{k}.npy": npy(v) for k, v in sound(rng).items()}
    name = rng.choice(list(members))
    members[name] = rng.choice([
        lambda c: damage.bytes_of(rng, c), lambda c: damage.bytes_of(rng, c[:128]) + c[128:],
    ])(members[name])  # fmt: skip
    write_zip(folder / "d.npz", members, rng.choice(METHODS))
    return opened(folder / "d.npz", rng, material)


def headers(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Headers of `.npy` files that lie, that are code, or that are far too long."""
    large = rng.choice([2**20, 10**9, 2**31, 2**40, 2**63, 2**64, 10**30])
    shape = rng.choice([
        (large, *SIZE, 3), (5, large, large, 3), (-1, *SIZE, 3), (5, *SIZE, -3), (), (0,),
        (0, *SIZE, 3), (5,) + (1,) * 40, (True, 8, 8, 3), ("5", 8, 8, 3), (5.0, 8, 8, 3),
        [5, 8, 8, 3], None, (5, *SIZE, 3),
    ])  # fmt: skip
    descr = rng.choice([
        "|u1", "|u1", "|u1", "<f4", ">f8", "|O", "<U9", "|V3", "<M8[s]", "<c8", "|S0", "<f16", "f",
        [("a", "<f4")], "os.system", "u1,u1", None, "(3,)f4", "|b1",
    ])  # fmt: skip
    text = rng.choice([
        repr({"descr": descr, "fortran_order": rng.choice([False, True, 3, None]), "shape": shape}),
        repr({"descr": descr, "shape": shape}), "__import__('os').mkdir('x')", "(" * 3000, "{" * 99,
        "{'descr': " + "-" * 20_000, "", "\x00" * 64, "é", "9" * 5000, "[" + "1," * 30_000 + "]",
    ])  # fmt: skip
    version = rng.choice([b"\x01\x00", b"\x02\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09"])
    size = len(text.encode())
    told = rng.choice([size, size, size, size + 5, 2**16 - 1, 0])
    packed = struct.pack("<H" if version == b"\x01\x00" else "<I", min(told, 2**16 - 1))
    content = b"\x93NUMPY" + version + packed + text.encode() + bytes(rng.choice([0, 960, 5000]))
    members = {f"{k}.npy": npy(v) for k, v in sound(rng).items()}
    members[rng.choice(list(members))] = content
    write_zip(folder / "d.npz", members, rng.choice(METHODS))
    return opened(folder / "d.npz", rng, material)


def bombs(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Archives that state gigabytes, or that are gigabytes; records that contradict each other."""
    path = folder / "d.npz"
    arrays = sound(rng)
    count = rng.choice([10**4, 10**6, 10**9, 10**13])
    told = npy(arrays["x_test"]).replace(b"(5, 8, 8, 3)", f"({count}, 8, 8, 3)".encode())
    zeros = bytes(rng.choice([0, 960, 192 * 10**4]))
    members = {"x_test.npy": told[:128] + zeros, "y_test.npy": npy(arrays["y_test"])}
    if rng.random() < 0.5:
        members["y_test.npy"] = npy(np.zeros(min(count, 10**6), np.uint8))
    write_zip(path, members, rng.choice(METHODS))
    if rng.random() < 0.6:
        content = bytearray(path.read_bytes())
        signature, offsets = rng.choice([
            (b"PK\x01\x02", (8, 10, 16, 20, 24, 28, 30, 42)),
            (b"PK\x03\x04", (6, 8, 18, 22, 26, 28)), (b"PK\x05\x06", (8, 10, 12, 16, 20)),
        ])  # fmt: skip
        start = content.find(signature) + rng.choice(offsets)
        content[start : start + 4] = struct.pack(
            "<I", rng.choice([0, 1, 2**16 - 1, 2**31 - 1, 2**32 - 2, 2**32 - 1, 192 * 10**6 + 128])
        )
        path.write_bytes(content)
    return opened(path, rng, material)


def pixels(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Images and labels of other types, shapes and ranges; NaN, infinity, and beyond float32."""
    arrays = sound(rng)
    x, y = arrays["x_test"], arrays["y_test"]
    kind = rng.randrange(5)
    if kind < 2:
        x = x.astype(rng.choice(["f4", "f8", "f2"])) / 127.5 - 1
        with np.errstate(over="ignore"):
            value = np.array(rng.choice([
                np.nan, np.inf, -np.inf, 3e38, -3e38, 1e300, 1e20, 1e-45, 6e4, 0.0,
            ])).astype(x.dtype)  # fmt: skip
        if rng.random() < 0.5:
            x[rng.randrange(5)] = value
        else:
            x.flat[rng.randrange(x.size)] = value
    elif kind == 2:
        x = x.astype(rng.choice(["i1", "u2", "i8", "u8", "?", "c8", "M8[s]", "f2", "g", "O", "U3"]))
    elif kind == 3:
        x = rng.choice([
            x[..., 0], x[..., :1], x[0], x[:0], x[:, :0], x[:, :4], x.reshape(-1), x[None], x[:3],
            np.asfortranarray(x), x[..., [0, 1, 2, 0]], np.zeros((5, 8, 8, 0)),
        ])  # fmt: skip
    else:
        y = rng.choice([
            y + 1, y - 1, y * 10**6, y.astype("f8"), y[:, None], y[:, None, None], y[:2], y[:0],
            np.array(3), y.astype("u8") + np.uint64(2**63), y.astype("O"), y.astype("?"),
            np.eye(3)[y], y.astype("U"), np.full(5, -(2**63)),
        ])  # fmt: skip
    members = {"x_test": x, "y_test": y}
    if rng.random() < 0.3:
        members |= {"x_train": rng.choice([x, x[:1], x[:0], arrays["x_test"]]), "y_train": y}
    if rng.random() < 0.1:
        members.pop(rng.choice(list(members)))
    write = rng.choice([np.savez, np.savez_compressed])
    write(folder / "d.npz", **members)
    return opened(folder / "d.npz", rng, material)


class Armed:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


def renamed(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """What is no archive of arrays: single arrays, pickles, other files, pipes, loops."""
    path = folder / rng.choice(["d.npz", "d.npz", "d.npz", "d.npy", "d", "d.zip"])
    arrays = sound(rng)
    armed = pickle.dumps(Armed(folder / "trap" / "pickled"))
    kind = rng.randrange(9)
    if kind == 0:
        path.write_bytes(npy(arrays["x_test"]))
    elif kind == 1:
        path.write_bytes(armed)
    elif kind == 2:
        objects = np.array([Armed(folder / "trap" / "object")], object)
        np.savez(path.with_suffix(".npz"), x_test=objects, y_test=objects)
        path = path.with_suffix(".npz")
    elif kind == 3:
        write_zip(path, {"x_test.npy": armed, "y_test.npy": npy(arrays["y_test"])})
    elif kind == 4:
        write_zip(path, {"x_test": npy(arrays["x_test"]), "y_test": npy(arrays["y_test"])})
    elif kind == 5:
        names = ["d.npz", "f.keras", "f.h5", "uint8.tflite", "i.png"]
        path.write_bytes(material.content(rng.choice(names)))
    elif kind == 6:
        os.mkfifo(path)
    elif kind == 7:
        path.symlink_to(rng.choice(["/dev/zero", str(path), "/proc/self/mem", "/dev/full"]))
    else:
        path.write_bytes(rng.choice([b"", b"PK", b"PK\x05\x06" + bytes(18), rng.randbytes(999)]))
    return opened(path, rng, material)


FORMS = ("png", "jpg", "gif", "bmp", "webp", "tiff", "ppm", "ico", "pdf", "eps")


def png(width: int, height: int) -> bytes:
    """A PNG file of any size, without pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    lines = chunk(b"IDAT", zlib.compress(bytes(10**6)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + lines + chunk(b"IEND", b"")


def folders(rng: random.Random, number: int, folder: Path, material: Material) -> Attempt:
    """Class folders: damaged photographs, other formats, bombs, pipes, loops, absurd names."""
    root = folder / "d"
    classes = rng.choice([("0", "1", "2"), ("a", "b", "c")])
    for name in classes:
        (root / name).mkdir(parents=True)
        form = rng.choice(FORMS[:5])
        (root / name / f"a.{form}").write_bytes(material.content(f"i.{form}"))
    within = root / rng.choice(classes)
    kind = rng.randrange(10)
    ending = rng.choice(FORMS[:5])
    place = within / f"b.{ending}"
    if kind < 3:
        place.write_bytes(damage.bytes_of(rng, material.content(f"i.{rng.choice(FORMS[:5])}")))
    elif kind == 3:
        place.write_bytes(material.content(f"i.{rng.choice(FORMS)}"))
    elif kind == 4:
        side = rng.choice([1, 5000, 20_000, 2**31 - 1])
        place.write_bytes(png(side, rng.choice([1, side])))
    elif kind == 5:
        os.mkfifo(place)
    elif kind == 6:
        place.symlink_to(rng.choice(["/dev/zero", str(place), "nowhere", "..", "/proc/self/mem"]))
    elif kind == 7:
        name = rng.choice(
            ["-1", "3", "10000000", "9" * 50, "²", "٣", "1.5", " ", "x\n", "\x1b[31m"]
        )
        (root / name).mkdir()
        (root / name / "a.png").write_bytes(material.content("i.png"))
    elif kind == 8:
        place.mkdir()
    else:
        script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n("
        script += str(folder / "trap" / "eps").encode() + b") (w) file closefile showpage\n"
        place.write_bytes(
            rng.choice([script, b"", b"GIF89a", rng.randbytes(500), b"\x89PNG\r\n\x1a\n"])
        )
    return opened(root, rng, material)
