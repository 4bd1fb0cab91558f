"""Every kind of case by name: `make(rng, number, folder, material)` writes files into an empty
folder, and returns what is to be done with them.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from hostile import attempts, data, models, runs, tflites
from hostile.material import Material

Make = Callable[[Random, int, Path, Material], Callable[[], Any]]

KINDS: dict[str, tuple[Make, int]] = {
    "model: layers that run code": (models.gadget_layers, 8),
    "model: values that run code": (models.gadget_values, 3),
    "model: functions of TensorFlow": (models.gadget_functions, 4),
    "model: damaged descriptions": (models.descriptions, 2),
    "model: huge layers": (models.large_layers, 2),
    "model: names": (models.names, 1),
    "model: damaged bytes": (models.damaged_bytes, 2),
    "model: damaged weights": (models.damaged_weights, 1),
    "model: archives and bombs": (models.archives, 3),
    "model: HDF5 structures": (models.structures, 1),
    "model: NaN and infinite weights": (models.values, 1),
    "model: no files": (models.paths, 1),
    "images: damaged archives": (data.archive_bytes, 3),
    "images: damaged arrays": (data.array_bytes, 3),
    "images: headers": (data.headers, 3),
    "images: bombs": (data.bombs, 3),
    "images: NaN, infinity, types, shapes": (data.pixels, 2),
    "images: no archives": (data.renamed, 1),
    "images: folders": (data.folders, 3),
    "tflite: damaged bytes": (tflites.file_bytes, 3),
    "tflite: damaged fields": (tflites.fields, 3),
    "tflite: circles": (tflites.circles, 2),
    "tflite: NaN and infinite constants": (tflites.constants, 1),
    "tflite: no files": (tflites.paths, 1),
    "results: damaged records": (runs.trees, 3),
    "results: keys and versions": (runs.keys, 3),
    "results: names": (runs.names, 1),
    "results: damaged bytes": (runs.file_bytes, 2),
    "results: no records": (runs.others, 1),
}
"""What makes the cases of a kind, and how many of them there are in a round of all kinds."""


def case(position: int) -> tuple[str, int]:
    """The kind of the `position`-th case of a run, and its number among them."""
    names = [name for name, (_, share) in KINDS.items() for _ in range(share)]
    name = names[position % len(names)]
    before = names[: position % len(names)].count(name)
    return name, position // len(names) * names.count(name) + before


def warm_up(folder: Path, material: Material) -> None:
    """Imports and compiles what attempts need, so that the watch and the limit see them alone."""
    import tf_keras  # noqa: F401 (writes its settings into the home)

    for name in ("f.keras", "s.h5"):
        for seed in range(4):
            attempts.analyze_model(material.folder / name, Random(seed))
    attempts.analyze_tflite(material.folder / "uint8.tflite", material)
    attempts.compare_runs([material.folder / "run"], folder / "out")
