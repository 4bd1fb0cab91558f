"""Which operator of one file is which of another: files that differ in one thing each."""

import numpy as np
import pytest
from written import INNER, INPUT, LAYERS, WIDTH, Written, codes, floats, rounded, weights

from tfqdyn.filepair.flow import Flow
from tfqdyn.filepair.matching import Matching, match
from tfqdyn.filepair.naming import names_of
from tfqdyn.filepair.problems import unpaired
from tfqdyn.tflite.file import parse
from tfqdyn.tflite.pairing import PairingError


def matched(reference: bytes, quantized: bytes) -> Matching:
    first, second = (Flow(parse(content, several=True)) for content in (reference, quantized))
    return match(first, second, dict(zip(first.model.inputs, second.model.inputs, strict=True)))


def pairs(found: Matching) -> dict[int, int]:
    """Operators of the quantized file, by those of the float one."""
    return {index: pair.quantized.index for index, pair in found.matches.items()}


def refusal(reference: bytes, quantized: bytes) -> str:
    found = matched(reference, quantized)
    with pytest.raises(PairingError) as caught:
        unpaired(found, names_of(found.reference))
    return str(caught.value)


@pytest.mark.parametrize("fused", [True, False])
def test_fused_rectifiers_are_paired_with_rectifiers_and_with_grids_that_cut(fused: bool) -> None:
    """Operators 0 to 3 in floats are 1 to 4 between QUANTIZE and DEQUANTIZE."""
    assert pairs(matched(floats(), codes(fused=fused))) == {0: 1, 1: 2, 2: 3, 3: 4}


def test_a_rectifier_of_its_own_belongs_to_the_layer_before_it() -> None:
    """Here the float file has the layers at 0, 2 and 4, and rectifiers at 1 and 3."""
    found = matched(floats(fused=False), codes())
    assert pairs(found) == {0: 1, 2: 2, 4: 3, 5: 4}
    assert found.absorbed == {
        1: "part of operator 0 (FULLY_CONNECTED)",
        3: "part of operator 2 (FULLY_CONNECTED)",
    }
    rectifier = found.reference.model.operators[1]
    (values,) = found.matches[0].values
    assert values[0] == rectifier.outputs[0], "the row holds what the rectifier gives"


def test_another_activation_is_another_network() -> None:
    text = refusal(floats(), codes([(1, "RELU"), (2, "RELU6"), (3, "NONE")]))
    assert "'dense_1' (FULLY_CONNECTED, operator 1) differs first" in text
    assert "ends in RELU6 where this one ends in RELU" in text


def test_other_weights_name_their_layer() -> None:
    text = refusal(floats(), codes([(1, "RELU"), (9, "RELU"), (3, "NONE")]))
    assert "'dense_1' (FULLY_CONNECTED, operator 1) differs first" in text
    assert "has other weights" in text
    assert "more" not in text.split("step")[1], "the layers behind it are the same"


def test_one_layer_more_is_named_in_either_file() -> None:
    longer = [LAYERS[0], (7, "RELU"), *LAYERS[1:]]
    text = refusal(floats(), codes(longer))
    assert "one layer more, operator 2 (FULLY_CONNECTED) behind 'dense_0'" in text
    text = refusal(floats(longer), codes())
    assert "'dense_1' (FULLY_CONNECTED, operator 1) differs first" in text


def test_unrelated_files_name_the_first_layer() -> None:
    other = [(seed + 100, activation) for seed, activation in LAYERS]
    assert "'dense_0' (FULLY_CONNECTED, operator 0) differs first" in refusal(
        floats(), codes(other)
    )


def test_rounding_up_by_a_step_is_the_same_weights_and_noise_is_not() -> None:
    """AdaRound may round any weight the other way: off by less than a step, always."""
    kernel = weights(1, 64, 64)
    stored, (scale, zeros, dtype) = rounded(kernel)

    def file(codes_: np.ndarray) -> bytes:
        made = Written()
        x = made.input((1, 64), INPUT)
        held = made.constant(codes_.astype(np.int8), (scale, zeros, dtype))
        return made.content([x], [made.op("FULLY_CONNECTED", [x, held, -1], (1, 64), INNER)])

    made = Written()
    x = made.input((1, 64))
    reference = made.content([x], [made.op("FULLY_CONNECTED", [x, made.constant(kernel), -1],
                                           (1, 64))])  # fmt: skip
    other_way = np.where(stored * scale[:, None] < kernel, stored + 1, stored - 1).clip(-127, 127)
    assert pairs(matched(reference, file(other_way))) == {0: 0}
    assert "has other weights: " in refusal(reference, file(-stored - 20))


def test_a_batch_norm_may_be_folded_in_the_quantized_file_alone() -> None:
    kernel, scale, offset = weights(1, 4, 1, 1, 3), weights(2, 4) + 2, weights(3, 4)
    plain = Written()
    x = plain.input((1, 5, 5, 3))
    bias = plain.constant(np.zeros(4, np.float32))
    y = plain.op("CONV_2D", [x, plain.constant(kernel), bias], (1, 5, 5, 4))
    y = plain.op("MUL", [y, plain.constant(scale)], (1, 5, 5, 4))
    y = plain.op("ADD", [y, plain.constant(offset)], (1, 5, 5, 4), None, "RELU")
    reference = plain.content([x], [y])
    folded = Written()
    x = folded.input((1, 5, 5, 3), INPUT)
    stored, grid = rounded(kernel * scale[:, None, None, None])
    steps = INPUT[0] * np.asarray(grid[0])
    bias = folded.constant(np.round(offset / steps).astype(np.int32), (steps, [0] * 4, "int32"))
    y = folded.op("CONV_2D", [x, folded.constant(stored, grid), bias], (1, 5, 5, 4), INNER, "RELU")
    found = matched(reference, folded.content([x], [y]))
    assert pairs(found) == {0: 0}
    assert unpaired(found, names_of(found.reference)) == {}
    last = found.reference.model.operators[2]
    assert found.matches[0].values == ((last.outputs[0], y),)


def branches(order: tuple[int, int], numbers: bool) -> bytes:
    """Two dense layers of one value, added; `order` is theirs among the operators."""
    file = Written()
    x = file.input((1, WIDTH), INPUT if numbers else None)
    made = {}
    for seed in order:
        kernel = weights(seed, WIDTH, WIDTH)
        held = file.constant(*rounded(kernel)) if numbers else file.constant(kernel)
        grid = (np.float32(1 / 8), 0, "int8") if numbers else None
        made[seed] = file.op("FULLY_CONNECTED", [x, held, -1], (1, WIDTH), grid)
    grid = (np.float32(1 / 8), 0, "int8") if numbers else None
    return file.content([x], [file.op("ADD", [made[order[0]], made[order[1]]], (1, WIDTH), grid)])


def test_operators_may_come_in_another_order() -> None:
    assert pairs(matched(branches((1, 2), False), branches((2, 1), True))) == {0: 1, 1: 0, 2: 2}


def test_what_is_computed_differently_is_named_between_what_is_paired() -> None:
    """HARD_SWISH in one file, x * relu6(x + 3) / 6 in the other; layers before and after it."""

    def file(by_parts: bool) -> bytes:
        made = Written()
        x = made.input((1, WIDTH))
        y = made.op("FULLY_CONNECTED", [x, made.constant(weights(1, WIDTH, WIDTH)), -1],
                    (1, WIDTH))  # fmt: skip
        if by_parts:
            three = made.constant(np.array(3, np.float32))
            gate = made.op("ADD", [y, three], (1, WIDTH), None, "RELU6")
            y = made.op("MUL", [y, gate], (1, WIDTH))
            y = made.op("MUL", [y, made.constant(np.array(1 / 6, np.float32))], (1, WIDTH))
        else:
            y = made.op("HARD_SWISH", [y], (1, WIDTH))
        y = made.op("FULLY_CONNECTED", [y, made.constant(weights(2, WIDTH, WIDTH)), -1],
                    (1, WIDTH))  # fmt: skip
        return made.content([x], [y])

    found = matched(file(False), file(True))
    assert pairs(found) == {0: 0, 2: 4}
    assert unpaired(found, names_of(found.reference)) == {
        "tensor_3": "HARD_SWISH: the quantized file computes this with other operators",
        **{
            f"operator {index} of the quantized file": f"{kind}: the float file computes this "
            "with other operators"
            for index, kind in ((1, "ADD"), (2, "MUL"), (3, "MUL"))
        },
    }
