"""The table of ARCHITECTURE.md, kept true: who may import whom, and what an import costs."""

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "triptych"
CONTRACTS = tuple(
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
)


def lint(folder: Path) -> tuple[int, str]:
    """Run the import contracts of `folder` over the package that lies in it."""
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_rooms_import_each_other_as_in_the_architecture() -> None:
    code, printed = lint(ROOT)

    assert code == 0, printed
    for name in CONTRACTS:
        assert f"{name} KEPT" in printed


BREACHES = {
    "evaluation/breach.py": "import triptych.cli.train",
    "models/breach.py": "from triptych.config import load_config",
    "models/builder.py": "import transformers",
    "losses/breach.py": "def later():\n    import sklearn.metrics",
    "models/summary.py": "import yaml",
    "metrics/breach.py": "import matplotlib",
    "config/breach.py": "import torch",
    "visualisation/breach.py": "import lightning.pytorch",
    "search/breach.py": "import torch",
    "serving/breach.py": "import lightning.pytorch",
}
"""A line for each contract that breaks it, in a new file or at the end of one that there is."""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("breaches")
    shutil.copytree(PACKAGE, folder / "triptych", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path, line in BREACHES.items():
        with (folder / "triptych" / path).open("a") as file:
            file.write(f"\n{line}\n")
    code, printed = lint(folder)
    assert code == 1, printed
    return printed


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_contract_can_be_broken(broken: str, contract: str) -> None:
    assert f"{contract} BROKEN" in broken


@pytest.mark.parametrize("path", BREACHES)
def test_every_breach_is_named(broken: str, path: str) -> None:
    module = path.removesuffix(".py").replace("/", ".")

    assert f"triptych.{module}" in broken


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "functions"}

    assert [str(path) for path in PACKAGE.rglob("*") if path.stem.lower() in drawers] == []


def test_every_modules_first_line_describes_it() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*.py")
        if path.stat().st_size and not path.read_text().startswith('"""')
    ]

    assert silent == []


# What an import costs

HEAVY = (
    *("torch", "lightning", "sklearn", "matplotlib", "tensorboard", "torchmetrics", "pandas", "PIL", "pyarrow"),
    *("transformers", "peft", "timm", "faiss", "psycopg", "fastapi", "onnxruntime"),
)


def loaded(program: str, *arguments: str) -> tuple[set[str], int]:
    """Run a program in a fresh interpreter; return the heavy libraries that it loaded, and its exit code."""
    report = (
        "import json, sys\n"
        "def tell():\n"
        f"    print('\\n' + json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
        "import atexit; atexit.register(tell)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", report + program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return set(json.loads(done.stdout.splitlines()[-1])), done.returncode


@pytest.mark.parametrize(
    "program", ["import triptych", "import triptych.config", "import run", "import triptych.cli.main"]
)
def test_importing_is_quick(program: str) -> None:
    assert loaded(program) == (set(), 0)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("train", "--help"), 0),
        (("--version",), 0),
        (("train", "--config", "configs/missing.yaml"), 2),
        (("train", "--config", "configs/digits.yaml", "--set", "model.patch_size=3"), 2),
        (("describe", "--config", "configs/digits.yaml", "--set", "model.layers=3"), 2),
        (("evaluate", "--help"), 0),
        (("runs", "--help"), 0),
        (("index", "--help"), 0),
        (("search", "--help"), 0),
        (("serve", "--help"), 0),
        (("export", "--help"), 0),
        (("embed", "--help"), 0),
        (("runs", "--output", "configs"), 2),
        (("runs", "compare", "digits/0", "digits/999"), 2),
    ],
)
def test_help_and_errors_come_before_anything_heavy_is_loaded(arguments: tuple[str, ...], code: int) -> None:
    assert loaded("from triptych.cli.main import main; main()", *arguments) == (set(), code)


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("triptych.data.own.unlabelled", {"PIL"}),
        ("triptych.artefacts.model", {"PIL"}),
        ("triptych.artefacts.loading", {"PIL"}),
        ("triptych.artefacts.bundle", {"PIL"}),
        ("triptych.artefacts.engines.onnx_engine", set()),
        ("triptych.artefacts.embedding", {"PIL"}),
        ("triptych.models", {"torch"}),
        ("triptych.models.builder", {"torch"}),
        ("triptych.losses", {"torch"}),
        ("triptych.metrics", {"torch"}),
        ("triptych.data.batches.triplets", {"torch"}),
        ("triptych.visualisation", {"torch"}),
        ("triptych.search", set()),
        ("triptych.serving", set()),
        ("triptych.serving.server", set()),
        ("triptych.serving.app", {"PIL", "fastapi"}),
    ],
)
def test_a_room_loads_no_more_than_it_needs(module: str, allowed: set[str]) -> None:
    found, code = loaded(f"import {module}")

    assert code == 0
    assert found <= allowed


@pytest.mark.parametrize("benchmark", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_benchmarks_import_only_what_the_package_has(benchmark: Path) -> None:
    imports = [
        (node.module, name.name)
        for node in ast.walk(ast.parse(benchmark.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("triptych")
        for name in node.names
    ]
    for module, name in imports:
        room = importlib.import_module(module)
        is_room = hasattr(room, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None
        assert is_room or hasattr(room, name), f"{module} has no {name}"
