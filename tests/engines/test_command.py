"""`tfqdyn kernels`: what it writes and prints, dumps among the engines, and bad input."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from built import SIZE, STEP, Builder, chain, codes_feed, in_process, with_bias_moved

from tfqdyn import cli, datasets
from tfqdyn.commands import kernels
from tfqdyn.config import AnalysisConfig
from tfqdyn.engines import calls
from tfqdyn.report import kernelspage
from tfqdyn.tflite.file import parse

IMAGES = 3
DOCS = Path(__file__).parents[2] / "docs" / "pages" / "kernels.md"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file `m.tflite` of four operators, and data `d.npz`."""
    monkeypatch.setattr(calls, "run_apart", in_process)
    (tmp_path / "m.tflite").write_bytes(chain(4))
    x = np.random.default_rng(1).uniform(-10, 10, (IMAGES, SIZE, SIZE, 8)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x_test=x, y_test=np.zeros(IMAGES, np.int64))
    return tmp_path


def run(files: Path, *given: str) -> int:
    words = [f"--model={files}/m.tflite", f"--data={files}/d.npz", f"--out={files}/out"]
    return cli.run(["kernels", *words, "--engines=builtin,reference", "--runs=1", *given])


def test_what_the_command_writes(files: Path, capfd: pytest.CaptureFixture) -> None:
    assert run(files) == 0
    out, _ = capfd.readouterr()
    assert "held against builtin" in out
    assert "values that differ from equal inputs" in out
    written = {path.name for path in (files / "out").iterdir()}
    assert written == {"kernels.html", "kernels.json", "kernels.csv", "inputs_0.npy"}
    record = json.loads((files / "out" / "kernels.json").read_text())
    assert (record["schema"], record["base"], record["images"]) == (1, "builtin", IMAGES)
    assert [engine["name"] for engine in record["engines"]] == ["builtin", "reference"]
    lines = list(csv.DictReader((files / "out" / "kernels.csv").read_text().splitlines()))
    assert len(lines) == 2 * 4
    assert {line["alone_values"] for line in lines} == {str(IMAGES * SIZE * SIZE * 8)}
    # the codes by hand: round(x / 0.1) + 3, in int8
    x = np.load(files / "d.npz")["x_test"].astype(np.float64)
    codes = np.clip(np.floor(x / np.float64(np.float32(0.1)) + 0.5) + 3, -128, 127)
    np.testing.assert_array_equal(np.load(files / "out" / "inputs_0.npy")[:, 0], codes)


@pytest.mark.filterwarnings("ignore:.*debugging purposes")
def test_a_dump_of_a_second_interpreter(
    files: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of the documentation runs on a device that reads the inputs which the command
    wrote, and whose third operator is at fault."""
    assert run(files) == 0
    device = files / "there"
    device.mkdir()
    (device / "net.tflite").write_bytes(with_bias_moved(chain(4), 2, STEP))
    for name in ("inputs_0.npy", "kernels.csv"):
        (device / name).write_bytes((files / "out" / name).read_bytes())
    monkeypatch.chdir(device)
    (program,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S)
    exec(program, {})
    capfd.readouterr()
    assert run(files, f"--dump={device}/dump") == 0
    out, _ = capfd.readouterr()
    assert "dump" in out
    record = json.loads((files / "out" / "kernels.json").read_text())
    found = record["engines"][2]
    assert found["version"] == "a Raspberry Pi 5"
    assert found["operators"][2]["cause"] == "own"
    # the program's interpreter runs XNNPACK, which may be a step away anywhere; the fault is larger
    shares = [f["alone"]["share"] for f in found["operators"]]
    assert shares[2] > 0.3  # where codes are not at the end of the grid
    assert max(shares[:2] + shares[3:]) < 0.05


def test_names_are_text_in_the_page(files: Path) -> None:
    (files / "m.tflite").write_bytes(chain(1).replace(b"layer0", b'<b>&"x'))
    assert run(files) == 0
    page = (files / "out" / "kernels.html").read_text()
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "<script" not in page


def test_the_page_says_once_what_an_engine_refuses(files: Path) -> None:
    data, out = datasets.load(str(files / "d.npz")), files / "out"
    engines = ("builtin", "reference")
    record = kernels.kernels(files / "m.tflite", data, engines, [], AnalysisConfig(), 0, out)
    _, other = record.engines
    no = [
        replace(f, chained=None, alone=None, cause="", refused="no such") for f in other.operators
    ]
    several = replace(other, refused="it cannot", operators=tuple(no), kinds=())
    page = kernelspage.render(replace(record, engines=(record.engines[0], several)))
    assert page.count("no such") == 1
    assert "reference refuses 4 of 4 operators alone (0, 1, 2, 3): no such" in page
    assert "No engine but builtin ran an operator." in page
    assert "<svg" not in page
    one = replace(other, operators=(*other.operators[:3], no[3]))
    page = kernelspage.render(replace(record, engines=(record.engines[0], one)))
    assert "reference refuses 1 of 4 operators alone (3): no such" in page
    assert page.count("<svg") == 1
    assert page.count('<tr><td class="num">') == 3


BAD = {
    "no file": (["--model=nowhere.tflite"], 1, "does not exist"),
    "no tflite": (["--model={}/d.npz"], 1, "expected a .tflite file"),
    "unknown engine": (["--engines=cuda"], 1, "engines must be different ones of"),
    "other images": (["--data=digits"], 1, "the file expects 'images' to be (4, 4, 8)"),
    "no dump": (["--dump={}"], 1, "expected a dump with a small dump.json"),
    "preprocessing": (["--preprocessing=vgg"], 2, "preprocessing must be one of"),
    "preprocessing of a Keras model": (["--preprocessing=auto"], 1, "preprocessing must be one of"),
    "a flag of others": (["--scheme=int8"], 2, "kernels has no flag --scheme"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_error(case: str, files: Path, capfd: pytest.CaptureFixture) -> None:
    given, status, message = BAD[case]
    assert run(files, *(word.format(files) for word in given)) == status
    out, err = capfd.readouterr()
    assert (out, message in err) == ("", True), err
    assert not (files / "out" / "kernels.json").exists()


def test_it_needs_no_tensorflow(files: Path) -> None:
    code = (
        "import sys; from tfqdyn import cli; status = cli.run(sys.argv[1:]); "
        "assert not {'tensorflow', 'keras', 'numba'} & set(sys.modules), 'heavy'; sys.exit(status)"
    )
    given = ["kernels", f"--model={files}/m.tflite", f"--data={files}/d.npz", "--runs=0",
             f"--out={files}/out", "--engines=builtin", "--max_images=1"]  # fmt: skip
    subprocess.run([sys.executable, "-c", code, *given], check=True, capture_output=True)


def test_the_last_run_of_a_fixed_batch_is_filled_up() -> None:
    content = chain(1)
    model = parse(content)
    feed = codes_feed(model, 3)
    assert len(feed) == 3
    tensor = model.tensors[0]
    object.__setattr__(tensor, "shape", (2, *tensor.shape[1:]))
    (first,), (last,) = feed.__class__(model, feed._arrays, feed.indices, "none").runs(0, 9)
    assert first.shape == last.shape == tensor.shape
    np.testing.assert_array_equal(last[0], last[1])
    assert (first[0] != last[0]).any()


def test_data_without_labels_and_with_several_inputs(files: Path) -> None:
    build = Builder()
    made = []
    for name in ("serving_default_left:0", "right"):
        made.append(build.tensor(name, (1, 2, 3), "int8", 0.5, 1))
    total = build.tensor("sum", (1, 2, 3), "int8", 0.5, 1)
    build.operator("ADD", made, (total,))
    (files / "m.tflite").write_bytes(build.file(made, (total,)))
    rng = np.random.default_rng(0)
    left, right = (rng.uniform(-5, 5, (4, 2, 3)).astype(np.float32) for _ in range(2))
    np.savez(files / "d.npz", right=right, left=left)
    assert run(files) == 0
    record = json.loads((files / "out" / "kernels.json").read_text())
    assert [engine["accuracy"] for engine in record["engines"]] == [None, None]
    assert record["engines"][1]["deployed"]["values"] == 4 * 6
    for k, given in enumerate((left, right)):
        codes = np.floor(given.astype(np.float64) / 0.5 + 0.5) + 1
        np.testing.assert_array_equal(np.load(files / "out" / f"inputs_{k}.npy")[:, 0], codes)
    np.savez(files / "d.npz", left=left, centre=right)
    assert run(files) == 1
