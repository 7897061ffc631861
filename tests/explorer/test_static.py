"""The static page: one file, whole, with all blobs, in which no name of a class or a file is markup."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from triptych.explorer import Explorer, explore
from triptych.explorer.static import size_advice

HOSTILE = "<script>alert(1)"
QUOTED = "\"'><img src=x onerror=alert(1)>"


def test_the_file_holds_every_blob(explorer: Explorer, tmp_path: Path, blobs_of: Callable, column_of: Callable) -> None:
    size = explorer.save(tmp_path / "page.html")

    blobs = blobs_of(tmp_path / "page.html")
    assert size == (tmp_path / "page.html").stat().st_size
    assert blobs.keys() == {"manifest", "ort.wasm", *explorer.payload.blobs}
    manifest = json.loads(blobs["manifest"])
    assert not manifest["live"]
    for column in manifest["columns"]:
        name = column["name"]
        np.testing.assert_array_equal(column_of(blobs, name), explorer.payload.column(name))
    assert "tsne" in {column["name"] for column in manifest["columns"]}
    assert blobs["ort.wasm"].startswith(b"\0asm")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_nothing_is_loaded_from_elsewhere(explorer: Explorer, tmp_path: Path) -> None:
    explorer.save(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    markup = re.sub(r"<script(?! type=\"application/gzip)[^>]*>.*?</script>", "", text, flags=re.DOTALL)

    assert re.findall(r"(?:src|href|action|data)\s*=\s*[\"']?(?:https?:)?//", markup) == []
    assert re.findall(r"@import|url\(\s*[\"']?(?:https?:)?//", markup) == []


def test_hostile_names_are_data_not_markup(
    digits_run: Path, digit_files: Callable, tmp_path: Path, blobs_of: Callable
) -> None:
    folder = digit_files(40, classes={"3": HOSTILE, "4": QUOTED})
    (folder / "0" / "=cmd()&<b>.png").write_bytes(next((folder / "0").iterdir()).read_bytes())

    explore(digits_run, folder).save(tmp_path / "page.html")

    text = (tmp_path / "page.html").read_text()
    assert "alert(1)" not in text
    assert "onerror" not in re.sub(r"<script(?! type=\"application/gzip)[^>]*>.*?</script>", "", text, flags=re.DOTALL)
    names = json.loads(blobs_of(tmp_path / "page.html")["paths"])
    assert "0/=cmd()&<b>.png" in names
    assert any(name.startswith(f"{QUOTED}/") for name in names)


def test_an_existing_page_is_replaced_as_a_whole(explorer: Explorer, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("old")

    explorer.save(str(tmp_path / "page.html"))

    assert (tmp_path / "page.html").read_text().rstrip().endswith("</html>")


def test_large_pages_come_with_advice() -> None:
    assert size_advice(24_000_000) == ""
    assert "--split" in size_advice(26_000_000)
