"""The house's plan, asserted: who may import whom, and how large a module may grow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RANKS = {
    "tfqdyn.affine": 0,
    "tfqdyn.apart": 0.1,
    "tfqdyn.archives": 0.1,
    "tfqdyn.classification": 0,
    "tfqdyn.compilation": 0,
    "tfqdyn.console": 0,
    "tfqdyn.finiteness": 0,
    "tfqdyn.graph": 0,
    "tfqdyn.imagefiles": 0,
    "tfqdyn.layercsv": 0,
    "tfqdyn.memory": 0,
    "tfqdyn.metrics": 0,
    "tfqdyn.paired": 0,
    "tfqdyn.regularizers": 0,
    "tfqdyn.schemes": 0,
    "tfqdyn.trace": 0,
    "tfqdyn.wholefiles": 0,
    "tfqdyn.kernels": 0.1,
    "tfqdyn.recordfile": 0.2,
    "tfqdyn.rangehistogram": 1,
    "tfqdyn.resultsformat": 1,
    "tfqdyn.steps": 1,
    "tfqdyn.tflitefile": 1,
    "tfqdyn.weightfile": 1,
    "tfqdyn.interpreter": 2,
    "tfqdyn.provenance": 1.5,
    "tfqdyn.datasets": 1,
    "tfqdyn.lowering": 1,
    "tfqdyn.description": 2,
    "tfqdyn.modelfile": 3,
    "tfqdyn.training": 2,
    "tfqdyn.sizes": 2,
    "tfqdyn.folding": 2,
    "tfqdyn.rebuild": 2,
    "tfqdyn.calibration": 2,
    "tfqdyn.fakequant": 2,
    "tfqdyn.emulation": 3,
    "tfqdyn.dataflow": 3,
    "tfqdyn.filekernels": 3.1,
    "tfqdyn.activations": 3.2,
    "tfqdyn.composites": 3.2,
    "tfqdyn.kernelmatch": 3.2,
    "tfqdyn.pairs": 3.2,
    "tfqdyn.matching": 3.3,
    "tfqdyn.filechecks": 3.4,
    "tfqdyn.pairing": 3.4,
    "tfqdyn.conversion": 4,
    "tfqdyn.simulation": 4,
    "tfqdyn.config": 5,
    "tfqdyn.capture": 5,
    "tfqdyn.layerstats": 5,
    "tfqdyn.reference": 5.5,
    "tfqdyn.measurement": 6,
    "tfqdyn.results": 6,
    "tfqdyn.assembly": 7,
    "tfqdyn.diagnosis": 7,
    "tfqdyn.reasons": 7,
    "tfqdyn.restore": 7,
    "tfqdyn.summary": 7,
    "tfqdyn.tables": 8,
    "tfqdyn.figures": 8,
    "tfqdyn.ownerror": 8,
    "tfqdyn.pipeline": 9,
    "tfqdyn.report": 9,
    "tfqdyn.compare": 10,
    "tfqdyn.remedies": 10,
    "tfqdyn.schemetable": 10,
    "tfqdyn.qat": 11,
    "tfqdyn.cli": 12,
}
ONLY_USER = {
    "TFLiteConverter": {"tfqdyn.conversion"},
    "Interpreter": {"tfqdyn.interpreter"},
    "matplotlib": {"tfqdyn.figures"},
    "tensorflow_model_optimization": {"tfqdyn.qat.rounding"},
}
LONGEST = 350


def modules(package: str) -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def unit(module: str) -> str:
    """The ranked unit of a module: packages below tfqdyn count as one."""
    return ".".join(module.split(".")[:2])


LIBRARY = modules("tfqdyn")


@pytest.mark.parametrize("module", [m for m in LIBRARY if m != "tfqdyn"])
def test_modules_import_lower_ranks_only(module: str) -> None:
    own = unit(module)
    assert own in RANKS, f"{own} has no rank: add it to the plan"
    for imported in imports(LIBRARY[module]):
        other = unit(imported)
        if other in RANKS and other != own:
            assert RANKS[other] < RANKS[own], f"{module} imports {imported}"


def test_the_library_knows_no_architecture() -> None:
    for module, path in LIBRARY.items():
        roots = {name.split(".")[0] for name in imports(path)}
        assert not roots & {"models", "experiments"}, module
    for module, path in modules("models").items():
        roots = {name.split(".")[0] for name in imports(path)}
        assert not roots & {"tfqdyn", "experiments", "tensorflow"}, module


def test_training_imports_tensorflow_in_one_module() -> None:
    """Which other backends never load: `tests/models/test_jax_backend.py`."""
    users = {
        module
        for module, path in LIBRARY.items()
        if module.startswith("tfqdyn.training")
        and {n for n in imports(path) if n.split(".")[0] == "tensorflow"}
    }
    assert users == {"tfqdyn.training.fused_kernels"}


@pytest.mark.parametrize("name", ONLY_USER)
def test_one_module_wraps_each_heavy_dependency(name: str) -> None:
    users = {
        module
        for module, path in LIBRARY.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr == name)
        or (isinstance(node, ast.Import) and any(a.name.split(".")[0] == name for a in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == name)
    }
    assert users == ONLY_USER[name]


def test_importing_the_package_is_light() -> None:
    code = "import sys, tfqdyn; assert not {'tensorflow', 'matplotlib', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("package", ["tfqdyn", "models", "experiments"])
def test_modules_stay_small(package: str) -> None:
    for module, path in modules(package).items():
        lines = len(path.read_text().splitlines())
        assert lines <= LONGEST, f"{module} has {lines} lines: is it two things?"
        assert path.stem not in ("utils", "common", "helpers"), f"name the thing: {module}"
