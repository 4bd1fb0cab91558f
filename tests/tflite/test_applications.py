"""Every network of keras.applications, with random weights, in uint8 and in int8, ours and theirs.

    pytest -m slow tests/tflite/test_applications.py --junitxml=applications.xml

takes about an hour on two cores; the XML file tells of each its rows, those that are paired, and
how far the farthest tensor is from what its layer makes of the tensors before.
"""

import gc
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest
from conftest import randomize
from numpy.typing import NDArray

from tfqdyn.files import memory
from tfqdyn.network.folding import fold_batchnorm
from tfqdyn.network.graph import Graph
from tfqdyn.network.lowering import lower
from tfqdyn.network.ops import takes
from tfqdyn.network.rebuild import to_keras
from tfqdyn.network.trace import UnsupportedModelError
from tfqdyn.numerics.grid import dequantize
from tfqdyn.quantization.conversion import to_scheme, to_tflite
from tfqdyn.quantization.converted import Converted
from tfqdyn.tflite.running import TfliteTensors

pytestmark = pytest.mark.slow
APPLICATIONS = [
    name
    for name in dir(keras.applications)
    if name[0].isupper() and callable(getattr(keras.applications, name))
]
SMALLEST = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
"""Height and width of the images where 32 are too few."""
RAW_PIXELS = ("ConvNeXt", "EfficientNet", "MobileNetV3")
"""Networks that begin with their own preprocessing of pixels from 0 to 255."""
CONVERTER_BYTES = 20
"""Bytes that TensorFlow's converter takes at its peak for each byte of weights."""
NOISE = 0.1
"""Root mean square of a tensor's errors over that of its values, where it is not below a step."""


@pytest.fixture(autouse=True)
def memory_is_given_back() -> None:
    keras.backend.clear_session()
    gc.collect()


def built(name: str) -> keras.Model:
    """A network with ten classes, small images and the values of a trained one."""
    keras.utils.set_random_seed(0)
    size = SMALLEST.get(name, 32)
    builder = getattr(keras.applications, name)
    model = builder(weights=None, input_shape=(size, size, 3), classes=10)
    for layer in model.layers:
        if hasattr(layer, "init_values"):  # scales of 1e-6, which vanish beside what they scale
            layer.gamma.assign(0.1 * keras.ops.ones_like(layer.gamma))
    return randomize(model)


class Steps:
    """A folded network computed node by node."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._layers: dict[str, Any] = {}
        to_keras(graph, wrap=lambda node, layer: self._layers.setdefault(node.name, layer))

    def __call__(
        self, images: NDArray, held: Mapping[str, NDArray] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """What every node makes of what it reads: of the values that are held, by node, if any."""
        source = self.graph.nodes[0].name
        made: dict[str, NDArray[np.float32]] = {source: images}
        given = {source: images, **(held or {})}
        for node in self.graph.nodes[1:]:
            read = [given.get(name, made[name]) for name in node.inputs]
            made[node.name] = np.asarray(self._layers[node.name](read if read[1:] else read[0]))
        return made


def values_in(
    file: Converted, images: NDArray
) -> dict[str, tuple[NDArray[np.float32], float, tuple[float, float]]]:
    """The file's values of every paired row, by the node that gives them, their step and grid.

    The step of values that the file holds as floats is a millionth of the largest.
    """
    found = {}
    for pair, codes in zip(file.pairs, TfliteTensors(file, len(images))(images), strict=False):
        real = codes.copy() if pair.params is None else dequantize(codes, pair.params)
        shape = (len(images), *pair.row.output_shape)
        step = 1e-6 * abs(real).max() if pair.params is None else pair.params.scale
        low, high = (-np.inf, np.inf) if pair.params is None else pair.params.range
        grid = float(low), float(high)
        found[pair.row.output] = real.reshape(shape).astype(np.float32), float(step), grid
    return found


def root_mean_square(values: NDArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def converted(
    scheme: str, own: bool, graph: Graph, images: NDArray, made: Mapping[str, NDArray]
) -> Converted:
    """The network in a scheme, on the extrema of these images, by us or by the converter."""
    if not own:
        return to_scheme(graph, scheme, lambda: ([image[None]] for image in images))
    outputs = {graph.nodes[0].name: graph.nodes[0].name}
    outputs |= {row.name: row.output for row in graph.rows}
    extrema = {name: (float(made[o].min()), float(made[o].max())) for name, o in outputs.items()}
    return to_tflite(graph, extrema, (), scheme)


@pytest.mark.parametrize(("scheme", "own"), [("uint8", True), ("int8", True), ("int8", False)])
@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_tensor_holds_what_its_layer_makes_of_the_tensors_before(
    name: str, scheme: str, own: bool, record_property: Callable[[str, object], None]
) -> None:
    model = built(name)
    graph = fold_batchnorm(lower(model, None)).graph
    rows = {row.name for row in graph.rows}
    record_property("rows", len(rows))
    if own and not all(takes(scheme, node.op) for node in graph):
        with pytest.raises(UnsupportedModelError, match=rf"'{scheme}'.* not take") as error:
            lower(model, scheme)
        assert name.startswith("ConvNeXt")
        assert "layer_norm: layers" in str(error.value)
        return
    needed = 2**31 + CONVERTER_BYTES * 4 * model.count_params()
    if needed > memory.total() // 2:
        pytest.skip(f"takes {memory.words(needed)}, more than half of the memory here")
    pixels = np.random.default_rng(1).uniform(-1, 1, (4, *graph.input_shape)).astype(np.float32)
    images = 127.5 * (pixels + 1) if name.startswith(RAW_PIXELS) else pixels
    steps = Steps(graph)
    file = converted(scheme, own, graph, images, steps(images))
    assert {pair.row.name for pair in file.pairs} | set(file.unpaired) == rows
    assert not (own and file.unpaired)
    held = values_in(file, images)
    made = steps(images, {name: values for name, (values, *_) in held.items()})
    found = {}
    for name, (values, step, grid) in held.items():
        exact = made[name].astype(np.float64).clip(*grid)  # what inputs with errors exceed
        limit = max(step, NOISE * root_mean_square(exact))
        found[name] = root_mean_square(values - exact) / limit
    farthest = max(found, key=lambda name: found[name])
    record_property("paired", len(held))
    record_property("farthest", f"{found[farthest]:.2f} ({farthest})")
    assert max(found.values()) < 1, (farthest, found[farthest])
