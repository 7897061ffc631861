"""Parquet files in the Hugging Face layout: real ones and small ones, in shards, and damaged in every way."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from triptych.data.builder import load_dataset
from triptych.data.known.parquet import find_parquet, read_parquet
from triptych.data.known.reading import Reading
from triptych.data.pixels.decoding import decode
from triptych.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
READING = Reading(shape=(3, 32, 32), classes=CLASSES)
REAL = Path(__file__).parents[4] / "shared" / "data" / "cifar10-jpeg"


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    """Encode (C, H, W) pixels."""
    stream = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0).squeeze()).save(stream, form)
    return stream.getvalue()


def pixels(rows: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, 3, 32, 32), np.uint8)


def write(path: Path, images, labels, *, column: str = "img", metadata=None, **options) -> None:
    """Write rows as the Hugging Face libraries do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [None if image is None else {"bytes": image, "path": f"{row}.png"} for row, image in enumerate(images)]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    table = pyarrow.table({column: pyarrow.array(rows, kind), "label": pyarrow.array(labels, pyarrow.int64())})
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path, **options)


def make(folder: Path, *, rows: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Write train.parquet and test.parquet and return their pixels."""
    parts = pixels(rows), pixels(rows, seed=1)
    for name, part in zip(("train", "test"), parts, strict=True):
        write(folder / f"{name}.parquet", map(encoded, part), [row % 10 for row in range(rows)])
    return parts


def decoded(part) -> np.ndarray:
    return np.stack([decode(source, channels=3) for source in part.images]).transpose(0, 3, 1, 2)


def test_images_and_labels_are_those_that_were_written(tmp_path):
    written = make(tmp_path)
    for part, expected in zip(read_parquet(find_parquet(tmp_path), READING), written, strict=True):
        assert (decoded(part) == expected).all()
        assert part.labels.tolist() == [row % 10 for row in range(12)]


def test_the_real_cifar10_is_read(tmp_path):
    folder, rows = REAL, 10_000
    if not folder.is_dir():
        folder, rows = tmp_path, 50
        make(folder, rows=rows)
    _, test = read_parquet(folder, READING)
    assert len(test.images) == rows
    assert test.labels.bincount().tolist() == [rows // 10] * 10
    file = pyarrow.parquet.ParquetFile(folder / "test.parquet")
    last = file.read_row_group(file.num_row_groups - 1).to_pylist()[-1]
    assert test.labels[-1] == last["label"]
    assert test.images[rows - 1] == last["img"]["bytes"]


@pytest.mark.parametrize("below", ["", "data", "plain_text"])
def test_shards_are_read_in_order_from_the_folders_of_the_hub(tmp_path, below):
    parts = [pixels(3, seed=seed) for seed in range(3)]
    for number, part in enumerate(parts):
        write(tmp_path / below / f"train-0000{number}-of-00003.parquet", map(encoded, part), [number] * 3)
    write(tmp_path / below / "test-00000-of-00001.parquet", map(encoded, parts[0]), [9] * 3)
    folder = find_parquet(tmp_path)
    assert folder == tmp_path / below
    train, test = read_parquet(folder, READING)
    assert (decoded(train) == np.concatenate(parts)).all()
    assert train.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert test.labels.tolist() == [9] * 3


def test_a_missing_shard_is_named_instead_of_training_on_the_others(tmp_path):
    make(tmp_path)
    (tmp_path / "train.parquet").rename(tmp_path / "train-00000-of-00002.parquet")
    with pytest.raises(DataError, match=r"train-00000-of-00002\.parquet: expected to find 2 such files, .* received 1"):
        read_parquet(tmp_path, READING)


def test_the_column_may_be_named_image_and_hold_jpeg_or_grey_images(tmp_path):
    grey = np.full((1, 32, 32), 7, np.uint8)
    for name in ("train", "test"):
        images = [encoded(pixels(1)[0], "JPEG"), encoded(grey)]
        write(tmp_path / f"{name}.parquet", images, [0, 1], column="image")
    train, _ = read_parquet(tmp_path, READING)
    assert np.unique(decoded(train)[1]).tolist() == [7]


def test_class_names_in_the_metadata_are_compared(tmp_path):
    def metadata(names):
        return {"huggingface": json.dumps({"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}})}

    make(tmp_path)
    write(tmp_path / "test.parquet", [encoded(pixels(1)[0])], [0], metadata=metadata(CLASSES))
    assert len(read_parquet(tmp_path, READING)[1]) == 1
    write(tmp_path / "test.parquet", [encoded(pixels(1)[0])], [0], metadata=metadata(["dog", "cat"]))
    with pytest.raises(DataError, match=r"test\.parquet: expected the class table .* received \['dog', 'cat'\]"):
        read_parquet(tmp_path, READING)


def test_a_folder_without_parquet_holds_nothing(tmp_path):
    (tmp_path / "training.csv").touch()
    assert find_parquet(tmp_path) is None
    assert find_parquet(tmp_path / "nowhere") is None


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def _scribble(path: Path) -> None:
    """Overwrite the pages and leave the footer as it is."""
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\x99" * 3000 + content[3004:])


def _table(columns: dict[str, object]):
    return lambda path: pyarrow.parquet.write_table(pyarrow.table(columns), path)


def _rows(images, labels):
    return lambda path: write(path, images, labels)


GOOD = [encoded(image) for image in pixels(3)]
INVALID = {
    "missing": (Path.unlink, "no such file"),
    "a folder": (_folder, "a folder of that name"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "a web page": (lambda path: path.write_bytes(b"<html>" * 9), "cannot be read"),
    "cut off": (_cut, "cannot be read"),
    "other columns": (
        _table({"pixels": [1], "label": [1]}),
        "img .or image. and label.*received the columns pixels, label",
    ),
    "no labels": (_table({"img": [{"bytes": GOOD[0]}]}), "received the columns img"),
    "images without bytes": (_table({"img": [{"path": "a.png"}], "label": [1]}), "column img of {bytes, path}"),
    "images of paths": (_table({"img": ["a.png"], "label": [1]}), "column img of {bytes, path}, but received string"),
    "labels of text": (_table({"img": [{"bytes": GOOD[0]}], "label": ["cat"]}), "label of integers.*received string"),
    "label out of range": (_rows(GOOD, [0, 1, 10]), "from 0 to 9, but received label 10 for image 2"),
    "label missing": (_rows(GOOD, [0, None, 1]), "a label in every row, but received none in row 1"),
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_file_gives_one_message_that_names_it(tmp_path, case):
    breaks, words = INVALID[case]
    make(tmp_path)
    breaks(tmp_path / "test.parquet")
    with pytest.raises(DataError, match=words) as caught:
        read_parquet(tmp_path, READING)
    assert str(tmp_path / "test.parquet") in str(caught.value)
    assert "Put a whole copy in its place" in str(caught.value)


MISFITS = {
    "no image": (b"no image", "is none of JPEG"),
    "cut off": (GOOD[2][:-700], "is damaged or cut off"),
    "missing": (None, "is none of JPEG, .* it is empty"),
    "of another size": (encoded(np.zeros((3, 28, 30), np.uint8)), "has 30 x 28 pixels, where 32 x 32 are expected"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_an_image_that_does_not_fit_the_data_set_is_named(tmp_path, case, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    image, words = MISFITS[case]
    make(tmp_path)
    write(tmp_path / "test.parquet", [GOOD[0], image], [0, 1])
    with pytest.raises(DataError, match=rf"1 of 14 images cannot be decoded:\n  test image 1 {words}"):
        load_dataset("cifar10", root=tmp_path)


def test_damaged_pages_are_named_when_the_images_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make(tmp_path)
    _scribble(tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"train\.parquet: expected a whole Parquet file, .* cannot be read"):
        load_dataset("cifar10", root=tmp_path)
