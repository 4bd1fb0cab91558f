"""Every step is held against the network that was given, whatever a remedy made of it."""

from dataclasses import replace
from functools import cache

import faulty_networks
import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tfqdyn.datasets import Dataset
from tfqdyn.measurement.capture import KerasActivations
from tfqdyn.measurement.runs import assemble
from tfqdyn.network.folding import Folded, fold_batchnorm
from tfqdyn.network.graph import alike
from tfqdyn.network.lowering import lower
from tfqdyn.numerics.classification import compare_outputs, top_k_accuracy
from tfqdyn.pipeline import measure_draws
from tfqdyn.quantization.conversion import to_tflite
from tfqdyn.remedies.bias_correction import bias_correction
from tfqdyn.remedies.equalization import equalization, equalization_relu
from tfqdyn.remedies.mixed_precision import mixed_precision
from tfqdyn.remedies.zero_variance import zero_variance
from tfqdyn.report.facts import facts
from tfqdyn.results import RunResult
from tfqdyn.tflite.running import TfliteTensors

QUICK = replace(faulty_networks.CONFIG, own_error=False)
FITTED, SCORED = np.arange(40), np.arange(40, 72)


@cache
def bounded() -> Folded:
    """ReLU6s that cut off many values: without them the network is another one.

    Its answers differ from image to image: logits are of mean 0 and deviation 3.
    """
    model = faulty_networks.small_net(6.0)
    for name in ("stem_bn", "dw_bn", "pw_bn"):
        norm = model.get_layer(name)
        norm.gamma.assign(6 * norm.gamma)
    dense = model.get_layer("logits")
    scores = np.asarray(model(faulty_networks.photographs() / np.float32(127.5) - np.float32(1)))
    scale = 3.0 / scores.std(axis=0)
    dense.set_weights([dense.kernel.numpy() * scale, -scores.mean(axis=0) * scale])
    return fold_batchnorm(lower(model))


def logits(graph) -> NDArray[np.float32]:
    material = replace(faulty_networks.ward().material, indices=SCORED)
    return material.logits(graph)


@cache
def labels() -> NDArray[np.int64]:
    """What the given network answers, but for every fourth image."""
    best = logits(bounded().graph).argmax(axis=1)
    best[::4] = (best[::4] + 1) % 10
    return np.concatenate([np.zeros(40, np.int64), best])


def analyzed(folded: Folded) -> RunResult:
    data = Dataset("images", faulty_networks.photographs(), labels())
    return assemble([measure_draws([folded], data, [FITTED], SCORED, QUICK)], data, QUICK)


def quantized(folded: Folded) -> list[NDArray]:
    """Real values of every row and, last, of the output, from an interpreter of our own."""
    material = faulty_networks.ward().material
    converted = to_tflite(folded.deployed, material.ranges(folded))
    (x,) = replace(material, indices=SCORED).chunks(folded.graph)
    codes = TfliteTensors(converted, len(x))(x)
    params = [*(pair.params for pair in converted.pairs), *converted.output_grids]
    return [
        np.array(float(p.scale) * (c.astype(np.float64) - int(p.zero_point)))
        for c, p in zip(codes, params, strict=True)
    ]


@cache
def remedied() -> Folded:
    return equalization_relu(bounded(), faulty_networks.ward().material).folded


def test_a_network_that_lost_its_bounds_is_counted_from_the_one_that_was_given() -> None:
    given, changed = logits(bounded().graph), logits(remedied().graph)
    own, answers = quantized(remedied())[-1], labels()[40:]
    found = analyzed(remedied()).summary
    fp32, uint8 = (top_k_accuracy(scores, answers) for scores in (given, own))
    assert fp32 == 0.75
    assert found.fp32_accuracy == fp32
    assert found.changed_fp32_accuracy == top_k_accuracy(changed, answers) != fp32
    assert found.quantized_accuracy.mean == uint8
    assert found.loss is not None
    assert found.loss.points.mean == pytest.approx(100 * (fp32 - uint8))
    assert found.percent_accuracy_decrease.mean == pytest.approx(100 * abs(fp32 - uint8) / fp32)
    by_hand = compare_outputs(given, own)
    assert found.qkl_div.mean == pytest.approx(by_hand.qkl_div, rel=1e-6)
    assert found.qmse.mean == pytest.approx(by_hand.qmse, rel=1e-6)
    assert found.qkl_div.mean > 10 * compare_outputs(changed, own).qkl_div  # what it was before


def test_rows_say_what_they_are_held_against() -> None:
    result = analyzed(remedied())
    assert result.notes[-1].startswith("4 of 5 rows are held against the remedied network's")
    rows = {row.name: row for row in result.layers}
    against = {name: row.reference for name, row in rows.items()}
    assert against == {
        "stem": "remedied", "dw": "remedied", "pw": "remedied", "gap": "remedied",
        "logits": "original",
    }  # fmt: skip
    assert "held against the remedied network" in " ".join(facts(rows["dw"]))
    assert "held against" not in " ".join(facts(rows["logits"]))
    values = dict(zip(rows, quantized(remedied()), strict=False))
    (x,) = replace(faulty_networks.ward().material, indices=SCORED).chunks(bounded().graph)
    (changed,) = KerasActivations(remedied().graph, ["dw_relu"])(x)
    given = logits(bounded().graph)
    for name, fp32 in {"dw": changed, "logits": given}.items():
        qmse = float(np.mean((fp32 - values[name].reshape(fp32.shape)) ** 2))
        assert rows[name].qmse.mean == pytest.approx(qmse, rel=1e-5)


def test_caps_are_rows_of_the_remedied_network_alone() -> None:
    folded = equalization(bounded(), faulty_networks.ward().material).folded
    caps = [row for row in analyzed(folded).layers if row.kind == "cap"]
    assert [row.reference for row in caps] == ["remedied"] * 3


def test_dead_channels_are_held_against_what_they_were() -> None:
    """The depthwise layer's QMSE counts what zero_variance changed in fp32."""
    model = faulty_networks.dead_model()
    stem = model.get_layer("stem_bn")
    beta = stem.beta.numpy()
    beta[[3, 8]] = -2.0  # the dead channels carry a little signal after all
    stem.beta.assign(beta)
    sick = fold_batchnorm(lower(model))
    cured = zero_variance(sick, faulty_networks.ward().material, tolerance=np.inf).folded
    rows = {row.name: row for row in analyzed(cured).layers}
    assert {row.reference for row in rows.values()} == {"original"}
    (x,) = replace(faulty_networks.ward().material, indices=SCORED).chunks(sick.graph)
    (given,) = KerasActivations(sick.graph, ["dw_relu"])(x)
    (changed,) = KerasActivations(cured.graph, ["dw_relu"])(x)
    own = quantized(cured)[1].reshape(given.shape)
    qmse = [float(np.mean((fp32 - own) ** 2)) for fp32 in (given, changed)]
    assert rows["dw"].qmse.mean == pytest.approx(qmse[0], rel=1e-5)
    assert qmse[0] > 2 * qmse[1]


def test_what_keeps_the_fp32_network_is_held_against_it() -> None:
    healthy, material = faulty_networks.healthy(), faulty_networks.ward().material
    corrected = bias_correction(healthy, material).folded
    assert corrected.graph is corrected.reference
    assert analyzed(corrected).summary.changed_fp32_accuracy is None


def test_mixed_precision_measures_against_the_network_that_was_given() -> None:
    material = faulty_networks.ward().material
    measured = mixed_precision(remedied(), material, most_layers=1).measured
    assert measured["output_qkl_div_before"] > 0.05  # most of it no fp32 layer brings back
    assert measured["output_qkl_div_after"] > 0.5 * measured["output_qkl_div_before"]


def test_graphs_are_alike_number_by_number() -> None:
    model = faulty_networks.small_net()
    first, second = (fold_batchnorm(lower(model)).graph for _ in range(2))
    assert alike(first, second)
    folded = fold_batchnorm(lower(model))
    other = faulty_networks.with_kernel(folded, "pw", lambda kernel: kernel * 1.001)
    assert not alike(first, other.graph)
    assert not alike(first, replace(second, nodes=second.nodes[:-1], outputs=()))
    assert not alike(first, bounded().graph)


def test_the_given_network_stays_the_reference_through_every_remedy() -> None:
    keras.utils.set_random_seed(0)
    material = faulty_networks.ward().material
    folded = fold_batchnorm(lower(faulty_networks.dead_model()))
    given = folded.reference
    for remedy in (zero_variance, equalization, bias_correction):
        folded = remedy(folded, material).folded
        assert folded.reference is given
