"""Other collections in the browser: photographs, Fashion-MNIST, two runs side by side, and a map that comes later."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import triptych
from triptych.data.builder import load_dataset
from triptych.errors import DataError, DownloadError
from triptych.explorer import explore

CONFIG = {
    "model": {"embed_dim": 16, "num_heads": 2, "num_layers": 1, "latent_dim": 4, "embedding_dim": 8, "decoder_dim": 4},
    "training": {"epochs": 2, "accelerator": "cpu", "devices": 1},
    "logging": {"tensorboard": False, "triplet_samples": False, "embeddings": False},
}


def trained(folder: Path, output: Path, *, side: int) -> Path:
    """Train on a folder of images for a second."""
    dataset = {"name": "folder", "root": str(folder), "image_size": side, "batch_size": 32}
    return triptych.train({**CONFIG, "dataset": dataset}, output=output, quiet=True).best_checkpoint


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEG files cut from two real photographs, of a temple and of a flower, of several sizes."""
    from sklearn.datasets import load_sample_images

    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for name, picture in zip(("temple", "flower"), load_sample_images().images, strict=True):
        (folder / name).mkdir()
        for number in range(40):
            side = int(rng.integers(90, 240))
            top, left = (int(rng.integers(0, picture.shape[axis] - side)) for axis in (0, 1))
            Image.fromarray(picture[top : top + side, left : left + side]).save(folder / name / f"{number}.jpg")
    return folder


def test_photographs_are_shown_and_your_own_is_placed(
    photographs: Path, see: Callable, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = triptych.load(trained(photographs, tmp_path_factory.mktemp("run"), side=64), device="cpu")
    explore(model, photographs).save(tmp_path / "page.html")
    seen = see(tmp_path / "page.html", is_offline=True)
    mine = photographs / "flower" / "7.jpg"

    seen.pin("flower/3.jpg")
    thumbnail = seen.decoded(seen.page.get_by_label("Image flower/3.jpg").first)
    seen.decoded(seen.page.get_by_label("Reconstruction of the image"))
    seen.tab("yours")
    assert seen.by("draw").count() == 0  # nobody draws a photograph
    seen.by("file").set_input_files(mine)
    seen.by("yours-result").wait_for(timeout=120_000)

    nearest = seen.page.get_by_label("Nearest neighbours of your image").locator("button").first
    similarity = float(nearest.inner_text().split()[-1])
    assert similarity > 0.99  # browsers shrink a little differently
    assert thumbnail.std() > 5
    assert seen.complaints == []
    assert model.classify(mine).names[0] in seen.by("yours-prediction").inner_text()


def test_fashion_items_are_reconstructed_without_their_border(
    see: Callable, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        data = load_dataset("fashionmnist").test
    except (DataError, DownloadError):
        pytest.skip("Fashion-MNIST is not on this machine")
    folder = tmp_path_factory.mktemp("fashion")
    for number in range(300):
        (folder / f"class {int(data.labels[number])}").mkdir(exist_ok=True)
        Image.fromarray(data.images[number, 0].numpy()).save(folder / f"class {int(data.labels[number])}/{number}.png")
    dataset = {"name": "folder", "root": str(folder), "image_size": 28, "pad": 2, "batch_size": 32}
    run = triptych.train({**CONFIG, "dataset": dataset}, output=tmp_path_factory.mktemp("run"), quiet=True)
    explorer = explore(run.best_checkpoint, split="all")
    explorer.save(tmp_path / "page.html")
    seen = see(tmp_path / "page.html", is_offline=True)
    name = explorer.collection.name(5)

    seen.pin(name)
    shown = seen.decoded(seen.page.get_by_label("Reconstruction of the image"))

    expected = triptych.load(run.best_checkpoint, device="cpu").reconstruct(folder / name)[0]
    assert shown.shape == (28, 28)
    np.testing.assert_allclose(shown, expected, atol=3)
    assert seen.complaints == []


# 7. Two runs


def test_two_runs_are_linked_and_their_changes_selected(
    digits_run: Path, other_run: Path, see: Callable, tmp_path: Path
) -> None:
    both = explore(digits_run, compare=other_run)
    both.save(tmp_path / "page.html")
    seen = see(tmp_path / "page.html", is_offline=True)
    pixels = both.collection.images[33][0].numpy()
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    seen.tab("yours")
    seen.by("file").set_input_files(tmp_path / "mine.png")
    seen.by("yours-result-1").wait_for(timeout=120_000)
    for run, name in ((digits_run, "yours-prediction"), (other_run, "yours-prediction-1")):
        expected = triptych.load(run, device="cpu").classify(pixels).names[0]
        assert f"Predicted {expected}, confidence" in seen.by(name).inner_text()
    label, first, second = (both.payload.column(name) for name in ("label", "prediction", "other/prediction"))
    broken = int(((first == label) & (second != label)).sum())

    assert seen.by("map-0").is_visible()
    assert seen.by("map-1").is_visible()
    seen.tab("runs")
    button = seen.page.get_by_role("button", name="Newly misclassified")
    assert button.inner_text().split()[-1] == str(broken)
    if broken:
        button.click()
        assert seen.by("selection-count").inner_text() == str(broken)
        seen.tab("runs")
    seen.by("compare-neighbours").click()
    seen.page.get_by_role("button", name="Select those with").click(timeout=60_000)
    assert int(seen.by("selection-count").inner_text()) > 0
    assert seen.complaints == []


# 1. and 2., with a server


def test_the_map_by_tsne_appears_when_it_is_ready(
    digits_run: Path, see: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = sys.modules["triptych.explorer.explore"]
    may_go_on, lay_out = threading.Event(), module.neighbour_map
    monkeypatch.setattr(module, "known_map", lambda *_: None)
    monkeypatch.setattr(module, "neighbour_map", lambda embeddings: may_go_on.wait(120) and lay_out(embeddings))
    server = explore(digits_run, split="val").serve(corrections=tmp_path / "corrections.csv")
    seen = see(server.url)

    layouts = seen.page.get_by_role("group", name="Layout").get_by_role("button")
    assert layouts.all_inner_texts() == ["PCA"]
    may_go_on.set()
    seen.page.get_by_role("button", name="t-SNE").wait_for(timeout=60_000)

    seen.page.goto("about:blank")
    server.close()
    assert seen.complaints == []


def test_a_large_encoder_stays_with_the_server(coloured_photos: Path, see: Callable, tmp_path: Path) -> None:
    explorer = explore(coloured_photos / "best.ckpt", coloured_photos / "photos")
    # As of an encoder of another library, which `test_networks.py` tests with a real one.
    explorer.payload._manifest["model"]["encoder"] = "server"
    explorer.payload.blobs.pop("encoder.onnx")
    explorer.save(tmp_path / "page.html")
    photo = coloured_photos / "photos" / "cat" / "1.png"
    server = explorer.serve(corrections=tmp_path / "corrections.csv")

    static = see(tmp_path / "page.html", is_offline=True)
    static.tab("yours")
    assert "run triptych explore" in static.by("tab-yours").page.locator("#panel").inner_text()
    live = see(server.url)
    live.tab("yours")
    live.by("file").set_input_files(photo)
    live.by("yours-result").wait_for(timeout=60_000)

    expected = triptych.load(coloured_photos / "best.ckpt").classify(photo).names[0]
    assert f"Predicted {expected}" in live.by("yours-prediction").inner_text()
    live.page.goto("about:blank")
    server.close()
    assert [*static.complaints, *live.complaints] == []
