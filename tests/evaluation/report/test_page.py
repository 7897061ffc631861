import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.evaluation.measuring.measured import measure
from triptych.evaluation.opening import OpenedModel
from triptych.evaluation.report import page, report_pictures, write_report
from triptych.models.builder import build_model


class Words(HTMLParser):
    """The text of a page, and the targets of its links, without scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.links, self.names, self._skipped = "", list[str](), set[str](), False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skipped = tag in ("script", "style")
        given = dict(attrs)
        self.links += [value for name in ("src", "href") if (value := given.get(name))]
        self.names |= {value for value in [given.get("id")] if value}

    def handle_endtag(self, tag: str) -> None:
        self._skipped = False

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.text += f" {' '.join(data.split())}"


def split(count: int, classes: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 1, 8, 8), generator=generator).to(torch.uint8)
    return Split(pixels, torch.arange(count) % classes)


def untrained(path: Path, *, classes: tuple[str, ...], version_folder: Path | None = None, **sections: Any) -> str:
    """Write the page of a small untrained model without its pictures, and return it."""
    config = RunConfig.model_validate(
        {
            "dataset": {"name": "digits"},
            "model": {"patch_size": 4, "embed_dim": 8, "num_heads": 2, "num_layers": 1, "latent_dim": 4},
            "logging": {"tsne_samples": 100},
            **sections,
        }
    )
    images = (split(max(60, 5 * len(classes)), len(classes), seed) for seed in (1, 2))
    data = ImageDataModule(config, ImageData(*images, classes, "made"))
    torch.manual_seed(0)
    model = build_model(config, num_classes=len(data.classes), pixel_mean=0.5, pixel_std=0.3)
    evaluation = measure(model, data, split="test")
    pictures: dict[str, Any] = {section: [] for section in ("embeddings", "compare", "name", "attention")}
    if data.config.training.use_multitask_loss:
        pictures["repaint"] = "no fonts"
    opened = OpenedModel(model, data, path.parent, version_folder, "a.ckpt")
    write_report(path, opened, evaluation, pictures)
    return path.read_text()


def test_the_page_needs_nothing_but_itself(report: Path) -> None:
    page = report.read_text()

    assert "://" not in page
    assert "@import" not in page
    assert all(link.startswith(("data:", "#")) or link == "map.html" for link in Words(page).links)
    assert report.stat().st_size < 5e6


def test_every_link_leads_somewhere(report: Path) -> None:
    words = Words(report.read_text())

    assert {link[1:] for link in words.links if link.startswith("#")} <= words.names


def test_class_names_are_text_and_nothing_else(report: Path, reported: Any) -> None:
    page = report.read_text()

    assert "<script>alert" not in page
    assert "</script>five" not in page
    assert Words(page).text.count("<script>alert(1)</script>") >= 2


def test_the_same_model_makes_the_same_page(report: Path, reported: Any, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    write_report(again, reported.opened, reported.evaluation, reported.pictures)

    assert again.read_bytes() == report.read_bytes()


def test_figures_config_and_run_are_on_the_page(report: Path, reported: Any) -> None:
    text = Words(report.read_text()).text

    assert f"{reported.evaluation.figures['map_at_r']:.4f}" in text
    assert "1-NN on raw pixels" in text
    assert "embed_dim: 16" in text
    assert "Epochs 6" in text
    assert "Learning curves" in text


def test_a_model_without_a_decoder_has_no_section_of_reconstruction(tmp_path: Path) -> None:
    page = Words(
        untrained(tmp_path / "report.html", classes=("a", "b"), training={"use_multitask_loss": False}),
    )

    assert "This run has two tasks" in page.text
    assert "repaint" not in page.names
    assert "mean squared error" not in page.text


def test_figures_of_a_model_without_a_decoder_lack_reconstruction(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("map_pictures", "retrieval_pictures", "classification_pictures", "attention_pictures"):
        monkeypatch.setattr(page, name, lambda *_: [])
    data = ImageDataModule(
        RunConfig.model_validate({"dataset": {"name": "digits"}}),
        ImageData(split(40, 2, seed=0), split(40, 2, seed=1), ("a", "b"), "made"),
    )
    model = build_model(
        RunConfig.model_validate({"dataset": {"name": "digits"}, "training": {"use_multitask_loss": False}}),
        num_classes=2,
        pixel_mean=0.5,
        pixel_std=0.3,
    )

    assert set(report_pictures(model, data, measure(model, data, split="test"))) == {
        "embeddings",
        "compare",
        "name",
        "attention",
    }


def test_many_classes_are_all_there(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(70))
    text = Words(untrained(tmp_path / "report.html", classes=names)).text

    assert "and 50 more classes" in text
    assert all(f" {name} " in text for name in names)


def test_classes_that_were_held_out_are_reported_alone(tmp_path: Path) -> None:
    text = Words(
        untrained(
            tmp_path / "report.html", classes=("a", "b", "cow", "dog"), evaluation={"holdout_classes": ["cow", "dog"]}
        )
    ).text

    assert "Held-out classes: cow, dog" in text


@pytest.mark.parametrize(
    ("record", "training", "expected"),
    [
        ({"diagnoses": []}, {}, "No sign of collapse."),
        (
            {"diagnoses": []},
            {"on_collapse": "ignore"},
            "The collapse guard was not active in this run, or its record is missing",
        ),
        ({}, {}, "The collapse guard was not active in this run, or its record is missing"),
        (
            {"diagnoses": [{"epoch": 1, "last_epoch": 2, "name": "x", "what": "embeddings are a <point>"}]},
            {},
            "The collapse guard has findings Epochs 1 to 2 embeddings are a <point>",
        ),
    ],
)
def test_the_page_reports_whether_the_run_collapsed(
    tmp_path: Path, record: dict[str, Any], training: dict[str, Any], expected: str
) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(record))

    page = untrained(tmp_path / "report.html", classes=("a", "b"), version_folder=tmp_path, training=training)

    assert expected in re.sub(r"\s+", " ", Words(page).text)


def test_a_checkpoint_without_its_run_has_a_page_without_curves(tmp_path: Path) -> None:
    text = Words(untrained(tmp_path / "report.html", classes=("a", "b"))).text

    assert "There are no curves" in text
    assert "its record is missing" in text


def test_every_section_has_its_pictures_under_names_of_their_own(reported: Any) -> None:
    names = {section: [picture.name for picture in pictures] for section, pictures in reported.pictures.items()}

    assert names == {
        "embeddings": ["map"],
        "compare": ["retrieval", "retrieval_worst", "hardest_triplets"],
        "name": ["confusion", "calibration"],
        "attention": ["attention"],
        "repaint": ["reconstructions", "interpolations", "traversal", "samples", "latent"],
    }


def test_pictures_are_whole_not_blank_and_state_their_size(reported: Any) -> None:
    for picture in (picture for section in reported.pictures.values() for picture in section):
        with Image.open(BytesIO(picture.png)) as image:
            assert image.size == picture.size
            assert np.asarray(image.convert("L")).std() > 10
        assert picture.title
        assert picture.caption.endswith(".")
        assert len(picture.alt) > 10


def test_no_figure_ends_an_evaluation(tmp_path: Path, reported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> list[Any]:
        raise RuntimeError("no <font>\nhere")

    monkeypatch.setattr(page, "classification_pictures", fails)

    pictures = report_pictures(reported.model, reported.data, reported.evaluation)
    write_report(tmp_path / "report.html", reported.opened, reported.evaluation, pictures)

    assert pictures["name"] == "no <font> here"
    assert "These figures could not be drawn: no <font> here" in Words((tmp_path / "report.html").read_text()).text
    assert isinstance(pictures["compare"], list)


def test_all_misclassified_images_are_on_the_page_with_their_files(tmp_path: Path, reported: Any) -> None:
    files = [f"photos/{number} & co.png" for number in range(len(reported.evaluation.split))]
    named = replace(reported.evaluation, split=replace(reported.evaluation.split, names=files))

    write_report(tmp_path / "report.html", reported.opened, named, reported.pictures)

    text = Words((tmp_path / "report.html").read_text()).text
    columns = named.table.columns
    wrong = np.flatnonzero(columns["label"] != columns["prediction"])
    assert len(wrong) > 0
    assert f"Misclassified images: {len(wrong)}" in text
    assert all(files[number] in text for number in wrong)
