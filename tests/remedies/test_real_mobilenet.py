"""The real MobileNet-V1 in small: the collapse, its diagnosis, and the cure without labels."""

import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tfqdyn.config import AnalysisConfig
from tfqdyn.datasets import Dataset
from tfqdyn.remedies import remedy
from tfqdyn.report import write_report

DEAD_DEPTHWISE = {f"conv_dw_{n}" for n in (1, 2, 3, 4, 9, 10, 13)}
CONFIG = AnalysisConfig(preprocessing="tf", trials=1, calibration_size=24)


@pytest.mark.realdata
def test_diagnosis_and_cure(
    real_mobilenet: keras.Model, real_photographs: Dataset, tmp_path: Path
) -> None:
    chosen = np.arange(0, len(real_photographs.x_test), 8)[:72]
    few = replace(
        real_photographs,
        x_test=real_photographs.x_test[chosen],
        y_test=real_photographs.y_test[chosen],
    )
    done = remedy(real_mobilenet, few, ["zero_variance", "bias_correction"], CONFIG)
    first = done.findings[: len(DEAD_DEPTHWISE)]
    assert {finding.layer for finding in first} == DEAD_DEPTHWISE
    assert {finding.fault for finding in first} == {"dead_variance"}
    accuracy = [stage.result.summary.quantized_accuracy.mean for stage in done.stages]
    fp32 = done.stages[0].result.summary.fp32_accuracy
    assert accuracy[0] < 0.2 < 0.4 < accuracy[1] < accuracy[2]
    assert accuracy[2] > fp32 - 0.13  # 48 photographs: a binomial deviation is 0.04
    assert len(done.stages[1].remedied[0].changes) == 43
    own = {row.name: row for row in done.stages[0].result.layers}
    last = own["global_average_pooling2d"]
    assert last.own is not None
    assert last.own.sqnr_db.mean > last.sqnr_db.mean + 20  # it inherits, it does not make

    start = time.process_time()
    write_report({stage.name: stage.result for stage in done.stages}, tmp_path / "report.html")
    assert time.process_time() - start < 20
    assert (tmp_path / "report.html").stat().st_size < 6e6
