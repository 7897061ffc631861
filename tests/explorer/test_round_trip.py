"""From wrong labels to a better model, as a person would: train, correct the queue by key, train again."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import triptych
from triptych.data.builder import load_dataset
from triptych.explorer import explore

SHARE = 0.05
"""Of the training labels that are wrong."""


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder of digits, in which some training images lie in the folder of another class; and the true classes."""
    folder, true = tmp_path_factory.mktemp("planted"), {}
    rng = np.random.default_rng(0)
    data = load_dataset("digits")
    for split, part in (("train", data.train), ("test", data.test)):
        planted = set(rng.permutation(len(part))[: round(SHARE * len(part))].tolist()) if split == "train" else ()
        for number in range(len(part)):
            label = int(part.labels[number])
            given = (label + int(rng.integers(1, 10))) % 10 if number in planted else label
            file = folder / split / str(given) / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(part.images[number, 0].numpy()).save(file)
            true[file.relative_to(folder).as_posix()] = str(label)
    return folder, true


def test_correcting_the_queue_raises_the_score(
    truth: tuple[Path, dict[str, str]], see: Callable, tmp_path: Path
) -> None:
    folder, true = truth
    before = {file: file.read_bytes() for file in folder.rglob("*.png")}
    config: dict[str, Any] = {
        "dataset": {"name": "folder", "root": str(folder), "image_size": 8, "batch_size": 256},
        "model": {"patch_size": 4, "embed_dim": 16, "num_heads": 2, "num_layers": 1, "latent_dim": 4,
                  "embedding_dim": 8, "decoder_dim": 4},
        "training": {"epochs": 12, "learning_rate": 0.005, "accelerator": "cpu", "devices": 1},
        "logging": {"tensorboard": False, "triplet_samples": False, "embeddings": False},
    }  # fmt: skip

    def score(output: Path) -> tuple[Path, float]:
        best = triptych.train(config, output=output, quiet=True).best_checkpoint
        figures = triptych.evaluate(best, output=output / "measured", report=False).figures
        return best, figures["nearest_neighbour_accuracy"]

    best, noisy = score(tmp_path / "noisy")
    file = tmp_path / "corrections.csv"
    server = explore(best, split="all").serve(corrections=file)
    seen = see(server.url)
    seen.tab("labels")
    place = seen.by("queue-place")
    count = int(place.inner_text().split(" of ")[1].split(",")[0])
    for done in range(1, count + 1):
        seen.page.keyboard.press("r")
        seen.page.wait_for_function(f"document.body.innerText.includes('{count}, {done} reviewed')")
    seen.page.get_by_text(f"Saved {count} rows in {file}").wait_for()
    seen.page.goto("about:blank")
    server.close()
    corrected = {row["path"]: row["label"] for row in csv.DictReader(file.open())}
    config["dataset"]["corrections"] = str(file)
    _, fixed = score(tmp_path / "fixed")

    wrong = {path for path, label in true.items() if path.split("/")[1] != label}
    assert len(wrong & corrected.keys()) > 0.7 * len(wrong)
    assert sum(corrected[path] == true[path] for path in corrected) > 0.7 * len(corrected)
    assert fixed > noisy + 0.02
    assert {path: path.read_bytes() for path in folder.rglob("*.png")} == before
    assert seen.complaints == []


def test_keep_drop_relabel_and_undo_by_key(digits_run: Path, see: Callable, tmp_path: Path) -> None:
    file = tmp_path / "corrections.csv"
    shown = explore(digits_run, split="all")
    order = np.argsort(-shown.payload.column("suspicion"), kind="stable")
    # A good model of clean labels suspects none: let the audit list the first ones.
    assert shown.view.findings is not None
    shown.payload.add_text("findings", {**shown.view.findings, "labels": order[:5].tolist()})
    names = [shown.collection.name(row) for row in order.tolist()]
    server = shown.serve(corrections=file)
    seen = see(server.url)
    seen.tab("labels")
    queue = seen.by("queue")
    queue.wait_for()

    steps = (("k", "1 kept"), ("d", "1 dropped"), ("r", "1 relabelled"), ("u", "0 relabelled"))
    for key, _ in steps:
        seen.page.keyboard.press(key)
        seen.page.wait_for_timeout(300)
    seen.page.get_by_text(f"Saved 2 rows in {file}").wait_for()

    kept, dropped = (row for row in csv.DictReader(file.open()))
    found = {f"{row['split']}/{row['index']}": row["label"] for row in (kept, dropped)}
    labels = shown.payload.column("label")
    assert found == {names[0]: str(labels[order[0]]), names[1]: ""}
    seen.page.goto("about:blank")
    server.close()
    # The next time the work goes on from the file.
    again = shown.serve(corrections=file)
    later = see(again.url)
    later.tab("labels")
    counts = later.by("correction-counts")
    later.page.wait_for_function("document.body.innerText.includes('1 dropped')")
    assert counts.inner_text() == "0 relabelled, 1 dropped, 1 kept"
    later.page.goto("about:blank")
    again.close()
    assert [*seen.complaints, *later.complaints] == []


def test_a_cell_of_the_confusion_matrix_selects_its_images(digits_run: Path, see: Callable, tmp_path: Path) -> None:
    shown = explore(digits_run)
    shown.save(tmp_path / "page.html")
    seen = see(tmp_path / "page.html", is_offline=True, accept_downloads=True)
    labels, predictions = shown.payload.column("label"), shown.payload.column("prediction")
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, predictions), 1)
    given, predicted = np.unravel_index(np.argmax(counts - np.diag(np.diag(counts))), counts.shape)
    seen.tab("labels")

    name = f"Label {given}, predicted {predicted}: {counts[given, predicted]} images"
    seen.by("confusion").get_by_role("button", name=name).click()

    assert seen.by("selection-count").inner_text() == str(counts[given, predicted])
    seen.tab("labels")
    assert seen.complaints == []
