"""Corrections in two tabs, across a reload and across the end of the server: no step is lost."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from triptych.explorer import Explorer

PATIENCE = 120_000
"""Milliseconds, for busy machines."""


def rows(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return {f"{row['split']}/{row['index']}": row["label"] for row in csv.DictReader(file)}


def second_tab(seen: Any) -> Page:
    page: Page = seen.context.new_page()
    page.on("console", lambda message: seen.complaints.append(message.text))
    page.goto(seen.page.url)
    page.wait_for_function("window.triptych?.ready", timeout=PATIENCE)
    return page


def other_label(explorer: Explorer, row: int) -> str:
    return str((int(explorer.payload.column("label")[row]) + 1) % 10)


def corrected(explorer: Explorer, *chosen: int) -> dict[str, str]:
    return {f"test/{row}": other_label(explorer, row) for row in chosen}


def relabel(page: Page, explorer: Explorer, row: int) -> None:
    """Find an image, and give it the label after its own."""
    page.get_by_test_id("find").fill(f"test/{row}")
    page.locator(".find .results button").first.click()
    expect(page.get_by_test_id("image-panel")).to_have_attribute("data-point", str(row), timeout=PATIENCE)
    page.get_by_test_id("relabel").select_option(other_label(explorer, row))
    page.get_by_test_id("find").fill("")


def counts(page: Page, text: str) -> None:
    page.get_by_test_id("tab-labels").click()
    expect(page.get_by_test_id("correction-counts")).to_have_text(text, timeout=PATIENCE)


def test_two_tabs_of_the_server_lose_nothing(explorer: Explorer, see: Callable, tmp_path: Path) -> None:
    file = tmp_path / "corrections.csv"
    server = explorer.serve(corrections=file)
    seen = see(server.url)
    other = second_tab(seen)

    relabel(seen.page, explorer, 17)
    relabel(other, explorer, 25)
    relabel(seen.page, explorer, 42)
    for page in (seen.page, other):
        counts(page, "3 relabelled, 0 dropped, 0 kept")
        expect(page.get_by_text(f"Saved 3 rows in {file}").or_(page.get_by_text("Saved 2 rows in"))).to_be_visible(
            timeout=PATIENCE
        )
    expect(seen.page.get_by_text(f"Saved 3 rows in {file}")).to_be_visible(timeout=PATIENCE)

    assert rows(file) == corrected(explorer, 17, 25, 42)
    seen.page.keyboard.press("u")  # its own last step
    counts(other, "2 relabelled, 0 dropped, 0 kept")
    expect(seen.page.get_by_text("Saved 2 rows in")).to_be_visible(timeout=PATIENCE)
    assert rows(file) == corrected(explorer, 17, 25)
    server.close()


def test_steps_wait_in_the_browser_until_the_server_runs_again(
    explorer: Explorer, see: Callable, tmp_path: Path
) -> None:
    file = tmp_path / "corrections.csv"
    server = explorer.serve(corrections=file)
    seen = see(server.url)
    relabel(seen.page, explorer, 17)
    counts(seen.page, "1 relabelled, 0 dropped, 0 kept")
    expect(seen.page.get_by_text(f"Saved 1 row in {file}")).to_be_visible(timeout=PATIENCE)
    seen.context.set_offline(True)  # a connection of a server that was closed in this process would go on
    relabel(seen.page, explorer, 25)
    seen.tab("labels")
    expect(seen.page.get_by_text("The server does not answer")).to_be_visible(timeout=PATIENCE)
    assert rows(file) == corrected(explorer, 17)

    server.close()
    server = explorer.serve(corrections=file, port=server.port)
    seen.context.set_offline(False)
    seen.page.reload()
    counts(seen.page, "2 relabelled, 0 dropped, 0 kept")
    expect(seen.page.get_by_text("Saved 2 rows in")).to_be_visible(timeout=PATIENCE)

    assert rows(file) == corrected(explorer, 17, 25)
    server.close()


@pytest.fixture(scope="module")
def page_file(explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("static") / "page.html"
    explorer.save(path)
    return path


def test_two_tabs_of_a_file_lose_nothing_and_steps_are_undone_after_a_reload(
    explorer: Explorer, page_file: Path, see: Callable
) -> None:
    seen = see(page_file, is_offline=True, accept_downloads=True)
    other = second_tab(seen)
    relabel(seen.page, explorer, 17)
    relabel(other, explorer, 25)
    relabel(seen.page, explorer, 42)
    for page in (seen.page, other):
        counts(page, "3 relabelled, 0 dropped, 0 kept")

    seen.page.reload()
    counts(seen.page, "3 relabelled, 0 dropped, 0 kept")
    seen.by("undo").click()
    counts(seen.page, "2 relabelled, 0 dropped, 0 kept")
    seen.page.keyboard.press("u")
    for page in (seen.page, other):
        counts(page, "1 relabelled, 0 dropped, 0 kept")
    with seen.page.expect_download() as download:
        seen.by("download-corrections").click()

    assert rows(Path(download.value.path())) == corrected(explorer, 25)
    assert seen.complaints == []
