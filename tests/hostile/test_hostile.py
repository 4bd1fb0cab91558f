"""Generated hostile and damaged files: one clear error or a result, never anything else."""

import time
from pathlib import Path

import pytest
from hostile import material, misbehaving, running
from hostile.kinds import KINDS, case

CASES = 1_139
"""Seventeen rounds of all kinds."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    material.write(folder)
    return folder


def test_nothing_goes_wrong(
    sound: Path, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture
) -> None:
    count = request.config.getoption("cases", None) or CASES
    one = request.config.getoption("case", None)
    cases = [case(position) for position in range(count)]
    if one:
        kind, number = one.rsplit("/", 1)
        cases = [(kind, int(number))]
    start = time.monotonic()

    shown: set[str] = set()

    def told(report: running.Report) -> None:
        done = report.total().total()
        for name in report.wrong.keys() - shown:
            shown.add(name)
            with capsys.disabled():
                print(f"--case='{name}': {report.wrong[name]}")
        if count > CASES and done % 500 == 0:
            with capsys.disabled():
                wrong = len(report.wrong)
                print(f"{done:,} of {count:,}, {wrong} wrong, {time.monotonic() - start:.0f} s")

    report = running.run(cases, tmp_path, sound, told=told)
    with capsys.disabled():
        print(f"\n{report.table()}\n{time.monotonic() - start:.0f} seconds")
    assert report.total().total() == len(cases)
    assert not report.wrong, f"{len(report.wrong)} wrong, printed above"


def test_every_kind_is_tried() -> None:
    tried = [case(position) for position in range(CASES)]
    assert {kind for kind, _ in tried} == set(KINDS)
    assert len(set(tried)) == CASES
    for kind, (_, share) in KINDS.items():
        assert sorted(number for name, number in tried if name == kind) == [*range(17 * share)]


def test_what_goes_wrong_is_seen(sound: Path, tmp_path: Path) -> None:
    cases = [(kind, 0) for kind in misbehaving.KINDS]
    report = running.run(cases, tmp_path, sound, jobs=1, kinds="hostile.misbehaving", seconds=10)
    told = {case.removesuffix("/0"): text for case, text in report.wrong.items()}
    assert told.keys() == misbehaving.KINDS.keys() - {"fine"}
    for kind, message in {
        "traceback": "KeyError: 'x'",
        "error of another's": "ValueError: invalid literal",
        "leaves": "SystemExit",
        "writes outside": "open ",
        "writes into the trap, natively": "left ",
        "writes into the home": "open ",
        "makes a folder": "os.mkdir ",
        "leaves a temporary file": "left ",
        "reads the secret": "read the secret",
        "starts a program": "subprocess.Popen",
        "runs a shell": "os.system",
        "unpickles": "pickle.find_class",
        "connects": "socket.connect",
        "takes memory": "MemoryError",
        "crashes": "dies: SIGABRT",
        "hangs": "hangs: no end within 10 seconds",
    }.items():
        assert message in told[kind], (kind, told[kind])
