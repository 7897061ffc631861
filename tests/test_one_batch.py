import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "one_batch.md").read_text()
NAMES = sorted(set(re.findall(r"`(triptych(?:\.\w+)+)`", PAGE)))


def found(name: str) -> object:
    """The object of a dotted name: the longest module in it, then attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            place: object = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            place = getattr(place, attribute)
        return place
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_on_the_page_exists(name: str) -> None:
    assert found(name) is not None


def test_the_page_is_about_one_page_long_and_names_the_path() -> None:
    assert len(PAGE.splitlines()) < 80
    assert len(NAMES) > 25
