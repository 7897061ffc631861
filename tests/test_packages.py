"""A small installation, without PyTorch: what it can do, and the one message about what it cannot."""

import subprocess
import sys
from pathlib import Path

import pytest

import triptych
from triptych.errors import MissingPackage
from triptych.packages import OF_TRAINING, training_packages

ROOT = Path(triptych.__file__).parents[1]
BLOCKED = f"import sys\nfor name in {sorted(OF_TRAINING)}:\n    sys.modules[name] = None\n"
"""Every import of these fails."""


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"sys.path.insert(0, {str(ROOT)!r})\n"
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + path + program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_bundle_is_embedded_indexed_searched_and_classified(coloured_photos, coloured_bundle, tmp_path):
    program = (
        "import triptych\n"
        "from pathlib import Path\n"
        "from triptych.search.images import build_index, search_images\n"
        "from triptych.serving import create_app\n"
        f"model = triptych.load({str(coloured_bundle)!r})\n"
        f"photos = Path({str(coloured_photos / 'photos')!r})\n"
        "first = photos / 'cat' / '1.png'\n"
        "index, _ = build_index(model, photos, 'photos.index')\n"
        "assert search_images(index, first, k=1, model=model)[0][0].id == str(first)\n"
        "assert len(model.classify(first).names) == len(model.reconstruct(first)) == 1\n"
        f"assert triptych.embed_images({str(coloured_bundle)!r}, photos, 'embedded').rows == 24\n"
        "assert '/search' in create_app(model, index=index).openapi()['paths']\n"
    )

    finished = run(program, tmp_path)

    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    "program",
    [
        "import triptych; triptych.train('digits.yaml')",
        "import triptych; triptych.evaluate('best.ckpt')",
        "import triptych; triptych.audit('best.ckpt')",
        "import triptych; triptych.load('best.ckpt')",
        "import triptych; triptych.load_model('best.ckpt')",
        "import triptych; triptych.nearest([[1.0, 0.0]])",
        "import triptych; triptych.TripletLoss",
    ],
)
def test_what_needs_pytorch_explains_how_to_install_it(program, tmp_path):
    (tmp_path / "digits.yaml").write_text("dataset:\n  name: digits\n")

    finished = run(program, tmp_path)

    last = finished.stderr.splitlines()[-1]
    assert last.startswith("triptych.errors.MissingPackage: Training needs PyTorch"), finished.stderr
    assert "pip install 'triptych[train]'" in last


@pytest.mark.parametrize("arguments", [["train", "digits.yaml"], ["evaluate", "best.ckpt"], ["doctor", "digits.yaml"]])
def test_a_command_that_needs_pytorch_ends_with_one_message(arguments, tmp_path):
    (tmp_path / "digits.yaml").write_text("dataset:\n  name: digits\n")

    finished = run(f"sys.argv[1:] = {arguments}\nfrom triptych.cli.main import main\nmain()\n", tmp_path)

    assert finished.returncode == 2, finished.stderr
    assert finished.stderr.startswith("Training needs PyTorch")
    assert len(finished.stderr.splitlines()) == 1


def test_other_missing_modules_are_not_hidden():
    with pytest.raises(ModuleNotFoundError, match="no_such_module") as error, training_packages():
        import no_such_module  # noqa: F401
    assert not isinstance(error.value, MissingPackage)
