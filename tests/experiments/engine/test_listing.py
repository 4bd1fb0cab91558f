"""Cells of printed tables."""

from experiments.engine.listing import cell


def test_a_mean_has_its_deviation_beside_it():
    row = {"qmse": 0.0186123, "qmse_std": 0.00291, "fp32": 78.63, "qce": 1.5, "qce_std": None}
    assert cell(row, "qmse") == "0.01861 ± 0.0029"
    assert cell(row, "fp32") == "78.63"
    assert cell(row, "qce") == "1.5"
    assert cell(row, "absent") == "-"
