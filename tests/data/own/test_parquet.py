"""Images in a Parquet file are read lazily, by row groups, from several threads and in other processes."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pyarrow
import pyarrow.parquet
import pytest

from triptych.data.own.parquet import ROW_GROUPS, ParquetImages
from triptych.errors import DataError

CONTENT = [bytes([row]) * 3 for row in range(10)]


@pytest.fixture
def file(tmp_path):
    table = pyarrow.table({"image": pyarrow.array(CONTENT, pyarrow.binary()), "label": list(range(10))})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet", row_group_size=3)
    return tmp_path / "x.parquet"


def test_rows_are_found_in_their_groups(file):
    images = ParquetImages(file, "image")
    assert len(images) == 10
    assert list(images) == CONTENT
    assert [images[place] for place in (9, 0, 5, -1)] == [CONTENT[place] for place in (9, 0, 5, -1)]
    assert images[2:7:2] == CONTENT[2:7:2]
    with pytest.raises(IndexError):
        images[10]


def test_each_group_is_read_once_in_order_and_few_stay_in_memory(file, monkeypatch):
    read = []
    original = pyarrow.parquet.ParquetFile.read_row_group
    monkeypatch.setattr(
        pyarrow.parquet.ParquetFile,
        "read_row_group",
        lambda self, number, **options: read.append((number, options["columns"])) or original(self, number, **options),
    )
    images = ParquetImages(file, "image")
    assert read == []
    assert list(images) == CONTENT
    assert read == [(number, ["image"]) for number in range(4)]
    assert len(images._kept) == ROW_GROUPS


def test_threads_may_read_at_once(file):
    images = ParquetImages(file, "image")
    places = [place * 7 % 10 for place in range(300)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(images.__getitem__, places)) == [CONTENT[place] for place in places]


def test_another_process_opens_the_file_by_itself(file):
    images = ParquetImages(file, "image")
    assert images[0] == CONTENT[0]
    assert list(pickle.loads(pickle.dumps(images))) == CONTENT


def test_a_file_that_goes_away_is_named(file):
    images = ParquetImages(file, "image")
    file.unlink()
    with pytest.raises(DataError, match=r"x\.parquet: expected a Parquet file, but received nothing"):
        images[0]
    with pytest.raises(DataError, match=r"x\.parquet: expected a Parquet file, but received nothing"):
        ParquetImages(file, "image")
