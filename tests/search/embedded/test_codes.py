from pathlib import Path

import numpy as np
import pytest

from triptych.errors import SearchError
from triptych.search.embedded.codes import Codes
from triptych.search.embedded.index import EmbeddedIndex
from triptych.search.embedded.manifest import StoredCodes

FINGERPRINT = "f0"


def clustered(count: int, dimension: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((50, dimension))
    return (centres[rng.integers(0, 50, count)] + rng.standard_normal((count, dimension)) * 0.4).astype(np.float32)


def recall(found: list[list[str]], wanted: list[list[str]]) -> float:
    return float(np.mean([len(set(one) & set(other)) / len(other) for one, other in zip(found, wanted, strict=True)]))


@pytest.fixture(scope="module", params=["clustered", "without structure"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[EmbeddedIndex, np.ndarray]:
    rng = np.random.default_rng(5)
    if request.param == "clustered":
        vectors, queries = clustered(20_000, 16, 1), clustered(50, 16, 2)
    else:
        vectors, queries = rng.standard_normal((20_000, 16)), rng.standard_normal((50, 16))
    folder = tmp_path_factory.mktemp("large") / "i"
    index = EmbeddedIndex.create(folder, dimension=16, fingerprint=FINGERPRINT, exact_rows=5_000)
    metadata = {"percent": rng.integers(0, 100, 20_000), "side": np.where(vectors[:, 0] > 0, "right", "left")}
    index.add([str(number) for number in range(20_000)], vectors, metadata, fingerprint=FINGERPRINT)
    return index, queries


@pytest.mark.parametrize(
    "where", [None, "percent = 7", "percent < 10", "percent < 50", "side = 'left'", "side = 'left' and percent = 3"]
)
def test_approximate_search_finds_what_exact_search_finds(
    large: tuple[EmbeddedIndex, np.ndarray], where: str | None
) -> None:
    index, queries = large
    assert index.info().approximate_rows == 20_000

    found, wanted = (
        [[one.id for one in some] for some in index.search(queries, where=where, exact=exact, fingerprint=FINGERPRINT)]
        for exact in (False, True)
    )

    assert recall(found, wanted) >= 0.98


def test_deleted_rows_of_a_large_segment_are_never_found(large: tuple[EmbeddedIndex, np.ndarray]) -> None:
    index, queries = large
    nearest = {one.id for some in index.search(queries, 3, fingerprint=FINGERPRINT) for one in some}

    index.delete(sorted(nearest))
    found = [[one.id for one in some] for some in index.search(queries, fingerprint=FINGERPRINT)]

    assert index.info().deleted == len(nearest)
    assert not nearest & {name for some in found for name in some}
    wanted = index.search(queries, exact=True, fingerprint=FINGERPRINT)
    assert recall(found, [[one.id for one in some] for some in wanted]) >= 0.98


@pytest.mark.parametrize("dimension", [1, 3, 7, 130, 150])
def test_every_dimension_has_codes_or_none_that_mislead(dimension: int) -> None:
    vectors = clustered(3_000, dimension, 0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    codes = Codes.make(vectors)

    assert codes is None or codes.recall >= 0.99


def test_codes_of_other_rows_are_rejected(tmp_path: Path) -> None:
    codes = Codes.make(clustered(2_000, 8, 0))
    assert codes is not None
    codes.write(tmp_path / "codes")
    stored = StoredCodes(bytes=0, sha256="0" * 64, depth=100, recall=1.0)

    with pytest.raises(SearchError, match="codes of 1,999 vectors of 8 dimensions"):
        Codes.read(tmp_path / "codes", stored, rows=1_999, dimension=8)
    (tmp_path / "codes").write_bytes(b"no codes")
    with pytest.raises(SearchError, match="expected the codes of a segment"):
        Codes.read(tmp_path / "codes", stored, rows=2_000, dimension=8)
