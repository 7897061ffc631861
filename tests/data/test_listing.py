"""Listings hold millions of images lazily, and messages name a few of them."""

from pathlib import Path

import pytest

from triptych.data.listing import Files, listed, printable


def test_paths_are_made_on_access():
    files = Files(Path("photos"), ["a/1.png", "/other/2.png", "b 3.png"])
    assert len(files) == 3
    assert files[0] == Path("photos/a/1.png")
    assert files[-2] == Path("/other/2.png")
    assert files[1:] == [Path("/other/2.png"), Path("photos/b 3.png")]
    assert next(reversed(files)) == Path("photos/b 3.png")
    with pytest.raises(IndexError):
        files[3]


@pytest.mark.parametrize(
    ("count", "text"), [(0, ""), (1, "0"), (5, "0, 1, 2, 3, 4"), (1006, "0, 1, 2, 3, 4 and 1,001 more")]
)
def test_the_first_few_are_named(count, text):
    assert listed(str(number) for number in range(count)) == text


def test_bytes_that_are_no_text_are_spelt_out():
    assert printable("caf\u00e9 \U0001f408") == "caf\u00e9 \U0001f408"
    assert printable("\udcff.png") == r"\udcff.png"
