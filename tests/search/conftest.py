"""Makers of empty indexes, one for each back end, for the tests of their common contract."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from triptych.search.contract import Index

MakeIndex = Callable[[], Index]


@pytest.fixture(scope="session")
def make_embedded(tmp_path_factory: pytest.TempPathFactory) -> MakeIndex:
    from triptych.search.embedded.index import EmbeddedIndex

    root, numbers = tmp_path_factory.mktemp("indexes"), itertools.count()

    def make() -> Index:
        folder = Path(root / f"{next(numbers)}.index")
        # With codes from 20 rows on, so that small examples reach the approximate search too.
        return EmbeddedIndex.create(folder, dimension=3, fingerprint="f0" * 32, model="best.ckpt", exact_rows=20)

    return make


@pytest.fixture(params=["make_embedded"])
def make_index(request: pytest.FixtureRequest) -> MakeIndex:
    """The maker of each back end."""
    return request.getfixturevalue(request.param)
