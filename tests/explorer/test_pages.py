"""The pages of `triptych evaluate` and `triptych audit`: the explorer's, with what was measured, without networks."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import expect

import triptych
from triptych.evaluation.audit import Audit
from triptych.evaluation.measuring.measured import Evaluation
from triptych.evaluation.opening import open_model
from triptych.explorer import pages

TOP = 130
"""Label issues and outliers that the audit lists: more than the page shows at once."""
PATIENCE = 120_000
"""Milliseconds, for busy machines."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("written")


@pytest.fixture(scope="module")
def evaluation(digits_run: Path, folder: Path) -> Evaluation:
    return triptych.evaluate(digits_run, output=folder)


@pytest.fixture(scope="module")
def audit(digits_run: Path, folder: Path) -> Audit:
    return triptych.audit(digits_run, output=folder, top=TOP)


@pytest.fixture(scope="module")
def map_seen(evaluation: Evaluation, folder: Path, see: Callable) -> Any:
    return see(folder / "map.html", is_offline=True)


@pytest.fixture(scope="module")
def audit_seen(audit: Audit, folder: Path, see: Callable) -> Any:
    return see(folder / "audit.html", is_offline=True, accept_downloads=True)


def quiet(seen: Any) -> bool:
    """Whether a page logged nothing, and asked for nothing."""
    outside = [url for url in seen.requests if not url.startswith(("file:", "blob:", "data:"))]
    return seen.complaints == [] and outside == []


def show_all(entries: Any, *, step: int, count: int) -> None:
    """Ask for more rows of a list, `step` at a time, until it is complete; each time they are drawn a moment later."""
    rows = entries.locator("li")
    for shown in range(step, count, step):
        expect(rows).to_have_count(shown, timeout=PATIENCE)
        entries.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(count, timeout=PATIENCE)
    expect(entries.get_by_role("button", name="Show more")).to_have_count(0)


def test_the_map_has_the_split_as_it_was_measured(
    evaluation: Evaluation, folder: Path, blobs_of: Callable, column_of: Callable
) -> None:
    blobs = blobs_of(folder / "map.html")
    columns = evaluation.table.columns

    np.testing.assert_array_equal(column_of(blobs, "label"), columns["label"])
    np.testing.assert_array_equal(column_of(blobs, "prediction"), columns["prediction"])
    np.testing.assert_array_equal(column_of(blobs, "tsne")[evaluation.map.indices], evaluation.map.points)
    assert not any(name.endswith(".onnx") or name in ("ort.wasm", "latent") for name in blobs)
    wrong = np.flatnonzero(columns["label"] != columns["prediction"])
    assert json.loads(blobs["reconstructed"]) == wrong.tolist()


def test_the_map_opens_with_images_neighbours_and_reconstructions_of_errors(
    map_seen: Any, evaluation: Evaluation
) -> None:
    wrong = np.flatnonzero(evaluation.table.columns["label"] != evaluation.table.columns["prediction"])
    tabs = map_seen.page.get_by_role("tab").all_inner_texts()
    map_seen.pin(f"test/{wrong[0]}")

    assert tabs == ["Image", "Selection", "Labels"]
    assert map_seen.page.get_by_label(f"Reconstruction of test/{wrong[0]}").is_visible()
    assert map_seen.page.get_by_label("Ten nearest neighbours").locator("li").count() == 10
    assert quiet(map_seen)


def test_the_audit_opens_with_its_queue_and_its_counts(audit_seen: Any, audit: Audit) -> None:
    counts = audit.counts()
    tally = audit_seen.page.get_by_label("Findings of the audit among 1,797 images").get_by_role("button")

    assert audit_seen.by("queue").get_attribute("data-point") == str(int(audit.label_issues[0]))
    assert f"1 of {TOP}" in audit_seen.by("queue-place").inner_text()
    assert [text.split("\n")[0] for text in tally.all_inner_texts()] == [str(TOP), str(counts["duplicates"]), str(TOP)]
    assert quiet(audit_seen)


def test_every_row_of_the_tables_is_on_the_page(audit_seen: Any, audit: Audit, folder: Path) -> None:
    page = audit_seen.page
    with (folder / "label_issues.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    queue = audit_seen.by("queue-list")
    queue.locator("summary").click()
    show_all(queue, step=100, count=TOP)
    texts = queue.locator("li").all_inner_texts()
    outliers, duplicates = audit_seen.by("outliers"), audit_seen.by("duplicates")
    outliers.locator("summary").click()
    show_all(outliers, step=20, count=TOP)
    duplicates.locator("summary").click()
    expect(duplicates.locator("li")).to_have_count(min(20, len(audit.duplicates.first)), timeout=PATIENCE)

    assert len(texts) == len(rows) == TOP
    for text, row in zip(texts, rows, strict=True):
        assert text.startswith(f"{row['split']}: ")
        assert f"{row['label']} → {row['suggested']}" in " ".join(text.split())
    assert outliers.locator("li").count() == TOP
    assert outliers.get_by_label("Reconstruction of").count() == TOP
    page.keyboard.press("Home")
    assert quiet(audit_seen)


def test_a_duplicate_can_be_dropped_and_the_corrections_exported(audit_seen: Any, audit: Audit, tmp_path: Path) -> None:
    audit_seen.by("outliers").evaluate("element => { element.open = true; }")
    drop = audit_seen.by("outliers").get_by_role("button", name="Drop").first
    drop.click()
    with audit_seen.page.expect_download() as download:
        audit_seen.by("download-corrections").click()
    download.value.save_as(tmp_path / "corrections.csv")

    row = int(audit.outlier_rows[0])
    with (tmp_path / "corrections.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert line == {"split": audit.pool.split_name(row), "index": str(int(audit.pool.position[row])), "label": ""}
    drop.click()
    assert audit_seen.by("correction-counts").inner_text() == "0 relabelled, 0 dropped, 0 kept"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_either_page(audit_seen: Any, map_seen: Any, theme: str, width: int) -> None:
    for seen in (audit_seen, map_seen):
        seen.page.set_viewport_size({"width": width, "height": 900})
        seen.choose_theme(theme)
        seen.tab("labels")
        seen.page.evaluate("document.querySelectorAll('#panel details').forEach(one => { one.open = true; })")

        assert seen.serious() == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        seen.page.set_viewport_size({"width": 1280, "height": 900})
        assert quiet(seen)


def test_a_large_page_has_all_findings_and_some_of_the_others(
    digits_run: Path, audit: Audit, tmp_path: Path, blobs_of: Callable, column_of: Callable, monkeypatch: Any
) -> None:
    monkeypatch.setattr(pages, "MOST", 600)
    monkeypatch.setattr(pages, "LAID_OUT", 300)
    blobs = blobs_of(pages.write_audit(tmp_path, open_model(digits_run), audit))
    found, manifest = json.loads(blobs["findings"]), json.loads(blobs["manifest"])
    rows, splits = column_of(blobs, "row"), column_of(blobs, "split")

    assert (manifest["count"], manifest["whole"]) == (len(rows), 1797)
    assert 600 <= len(rows) < 1797
    for listed, wanted in ((found["labels"], audit.label_issues), (found["outliers"]["row"], audit.outlier_rows)):
        assert rows[listed].tolist() == audit.pool.position[wanted].tolist()
        assert splits[listed].tolist() == audit.pool.split[wanted].tolist()
    assert np.isfinite(column_of(blobs, "tsne")).all()


def test_rows_are_chosen_evenly_beside_those_that_are_needed() -> None:
    assert pages._chosen(torch.tensor([3]), count=4, most=4).tolist() == [0, 1, 2, 3]
    assert pages._chosen(torch.tensor([1, 9]), count=10, most=4).tolist() == [0, 1, 8, 9]
    assert pages._chosen(torch.tensor([1, 5, 9]), count=10, most=2).tolist() == [1, 5, 9]
