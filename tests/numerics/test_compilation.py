"""Compiled loops where nothing can be cached: a read-only container, a home that is not there."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import complaints, images, residual_net
from test_wholefiles import UNSHARE, can_mount

ROOT = Path(__file__).parents[2]
WITHOUT_CACHE = """
from numba.core import caching
for locator in caching.CacheImpl._locator_classes:
    locator.from_function = classmethod(lambda *given: None)
import numpy as np
from tfqdyn.numerics import loops
from tfqdyn.remedies import adaround
assert adaround._rounding_step.stats.cache_path is None
print(loops.squared_error(np.float32([1, 2]), np.float32([3, 5])))
"""


def test_without_a_place_for_a_cache_loops_are_compiled_anew() -> None:
    command = [sys.executable, "-c", WITHOUT_CACHE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "13.0\n"), done.stderr


@pytest.mark.skipif(not can_mount(), reason="mounting takes user namespaces")
def test_the_command_runs_in_a_read_only_container(tmp_path: Path) -> None:
    """Package and home lie on read-only mounts; results go to a folder that can be written."""
    keras.utils.set_random_seed(1)
    residual_net().save(tmp_path / "m.keras")
    data = images(12)
    np.savez(tmp_path / "d.npz", x_test=data.x_test, y_test=data.y_test)
    script = (
        f"mount --bind {ROOT} {ROOT} && mount -o remount,bind,ro {ROOT} && "
        f"mount -t tmpfs -o ro none /mnt && cd {ROOT} && ! touch tfqdyn/x 2>/dev/null && "
        'HOME=/mnt XDG_CACHE_HOME=/mnt/cache exec "$@"'
    )
    analyze = [
        sys.executable, "-m", "tfqdyn.cli", "analyze", f"--model={tmp_path}/m.keras",
        f"--data={tmp_path}/d.npz", f"--out={tmp_path}/out", "--trials=1", "--calibration_size=4",
    ]  # fmt: skip
    command = [*UNSHARE, script, "sh", *analyze]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, complaints(done.stderr)) == (0, "")
    assert "quantized accuracy" in done.stdout
    assert (tmp_path / "out" / "report.html").exists()
