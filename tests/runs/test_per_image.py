"""The table per image comes back as it was written, or not at all."""

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from triptych.errors import DataError
from triptych.runs.per_image import read_per_image, write_per_image

DESCRIPTION = {"dataset": "digits", "split": "test", "classes": ["0", "1"], "holdout": [], "images": "ab12"}


def columns(count: int = 5000) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    nll = generator.random(count).astype(np.float32)
    nll[::7] = np.nan
    return {
        "index": np.arange(count),
        "label": generator.integers(2, size=count),
        "correct": generator.random(count) < 0.5,
        "nll": nll,
    }


def test_a_table_comes_back_bit_for_bit_with_its_types_and_its_description(tmp_path):
    written = columns()
    write_per_image(tmp_path / "new" / "per_image_test.parquet", written, DESCRIPTION)
    read = read_per_image(tmp_path / "new" / "per_image_test.parquet")
    assert read.description == DESCRIPTION
    assert list(read.columns) == list(written)
    for name, column in written.items():
        assert read.columns[name].dtype == column.dtype
        np.testing.assert_array_equal(read.columns[name], column)
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_rows_come_in_the_order_of_the_images(tmp_path):
    path = tmp_path / "per_image_test.parquet"
    write_per_image(path, {"index": np.array([2, 0, 1]), "label": np.array([7, 5, 6])}, {})
    np.testing.assert_array_equal(read_per_image(path).columns["label"], [5, 6, 7])


def test_other_programs_can_read_it(tmp_path):
    path = tmp_path / "per_image_test.parquet"
    write_per_image(path, columns(3), DESCRIPTION)
    table = pyarrow.parquet.read_table(path)
    assert table.schema.field("nll").type == pyarrow.float32()
    assert table.column("index").to_pylist() == [0, 1, 2]


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)


def forget_description(path):
    pyarrow.parquet.write_table(pyarrow.table({"index": [0], "label": [0]}), path)


def describe_by_a_list(path):
    table = pyarrow.table({"index": [0], "label": [0]}, metadata={b"triptych": b"[]"})
    pyarrow.parquet.write_table(table, path)


def make_labels_text(path):
    table = pyarrow.table({"index": [0], "label": ["cat"]}, metadata={b"triptych": b"{}"})
    pyarrow.parquet.write_table(table, path)


def make_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = [
    cut,
    flip_a_bit,
    forget_description,
    describe_by_a_list,
    make_labels_text,
    make_folder,
    lambda path: path.write_bytes(b""),
    lambda path: path.write_text("index,label"),
    lambda path: path.unlink(),
    lambda path: write_per_image(path, columns(0), {}),
    lambda path: write_per_image(path, {**columns(2), "confidence": np.array([0.5, np.nan])}, {}),
    lambda path: write_per_image(path, {**columns(2), "confidence": np.array([0.5, 1e12])}, {}),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_one_clear_message(tmp_path, damage):
    path = tmp_path / "per_image_test.parquet"
    write_per_image(path, columns(), DESCRIPTION)
    damage(path)
    with pytest.raises(DataError, match=r"per_image_test\.parquet: expected a table of results per image.* Remove it"):
        read_per_image(path)
