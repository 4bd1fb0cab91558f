"""The house's plan, asserted: who may import whom, and how large a module may grow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RANKS = {
    "tfqdyn.console": 0,
    "tfqdyn.files": 0,
    "tfqdyn.numerics": 0,
    "tfqdyn.regularizers": 1,
    "tfqdyn.schemes": 0,
    "tfqdyn.datasets": 1,
    "tfqdyn.network": 1,
    "tfqdyn.config": 2,
    "tfqdyn.results": 2,
    "tfqdyn.tflite": 2,
    "tfqdyn.training": 2,
    "tfqdyn.engines": 3,
    "tfqdyn.quantization": 3,
    "tfqdyn.show": 3,
    "tfqdyn.measurement": 4,
    "tfqdyn.modelsource": 4,
    "tfqdyn.report": 4,
    "tfqdyn.distributed": 5,
    "tfqdyn.filepair": 5,
    "tfqdyn.pipeline": 5,
    "tfqdyn.callbacks": 6,
    "tfqdyn.commands": 6,
    "tfqdyn.remedies": 6,
    "tfqdyn.qat": 6,
    "tfqdyn.demo": 7,
    "tfqdyn.cli": 8,
    "tfqdyn.__main__": 9,
}
ONLY_USER = {
    "TFLiteConverter": {"tfqdyn.quantization.conversion"},
    "Interpreter": {"tfqdyn.tflite.interpreter", "tfqdyn.tflite.micro"},
    "matplotlib": {"tfqdyn.show.figures"},
    "tflite_micro": {"tfqdyn.tflite.micro"},
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
    """Names of all that a file imports: of modules, or of what is in them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def unit(module: str) -> str:
    """The ranked unit of a module: packages below tfqdyn count as one."""
    return ".".join(module.split(".")[:2])


LIBRARY = modules("tfqdyn")


@pytest.mark.parametrize("module", [m for m in LIBRARY if m != "tfqdyn"])
def test_packages_import_lower_ranks_only(module: str) -> None:
    own = unit(module)
    assert own in RANKS, f"{own} has no rank: add it to the plan"
    for imported in imports(LIBRARY[module]):
        other = unit(imported)
        if other in RANKS and other != own:
            assert RANKS[other] < RANKS[own], f"{module} imports {imported}"


def test_no_modules_import_each_other() -> None:
    def below(name: str) -> str | None:
        """The module of what is imported."""
        while name not in LIBRARY:
            name, dot, _ = name.rpartition(".")
            if not dot:
                return None
        return name

    waiting = {m: {below(name) for name in imports(p)} - {m, None} for m, p in LIBRARY.items()}
    while free := [m for m, others in waiting.items() if not others & set(waiting)]:
        for module in free:
            del waiting[module]
    assert not waiting


@pytest.mark.parametrize("package", ["tfqdyn", "experiments", "benchmarks"])
def test_private_names_stay_in_their_package(package: str) -> None:
    for module, path in modules(package).items():
        for imported in imports(path):
            private = [part for part in imported.split(".") if part.startswith("_")]
            if private and imported.startswith(("tfqdyn.", "experiments.")):
                assert unit(imported) == unit(module), f"{module} imports {imported}"


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


@pytest.mark.parametrize("module", ["tfqdyn", "tfqdyn.config", "tfqdyn.cli"])
def test_importing_settings_is_light(module: str) -> None:
    """Neither flags nor their help wait for TensorFlow."""
    heavy = "{'tensorflow', 'matplotlib', 'keras', 'numba', 'scipy', 'sklearn'}"
    code = f"import sys, {module}; found = {heavy} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("package", ["tfqdyn", "models", "experiments"])
def test_modules_stay_small(package: str) -> None:
    for module, path in modules(package).items():
        lines = len(path.read_text().splitlines())
        assert lines <= LONGEST, f"{module} has {lines} lines: is it two things?"
        assert path.stem not in ("utils", "common", "helpers"), f"name the thing: {module}"
