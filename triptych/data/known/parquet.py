"""Reads images from Parquet files in the Hugging Face layout: a column of encoded images and a column of labels."""

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from triptych.data.broken import broken
from triptych.data.images import Reading, Split, check_classes, joined, labelled
from triptych.data.pixels.mapped import Shape

if TYPE_CHECKING:
    import pyarrow

IMAGE_COLUMNS = ("img", "image")
FORMATS = ("JPEG", "PNG", "WEBP")
"""What may be in the column; Pillow knows formats whose readers start other programs."""
ROWS = 1000
"""Rows that are decoded at a time."""


def find_parquet(folder: Path) -> Path | None:
    """Return the folder with `train*.parquet` or `test*.parquet`: `folder`, or `data` or `plain_text` in it."""
    folders = (folder, folder / "data", folder / "plain_text")
    return next((place for place in folders if _shards(place, "train") or _shards(place, "test")), None)


def read_parquet(folder: Path, reading: Reading) -> tuple[Split, Split]:
    """Read `train*.parquet` and `test*.parquet`, each in one or several shards.

    Raises:
        DataError: A file is missing or damaged, or holds other columns, images or labels than expected.
    """
    train, test = (read_parquet_split(folder, part, reading) for part in ("train", "test"))
    return train, test


def read_parquet_split(folder: Path, part: str, reading: Reading) -> Split:
    """Read the shards of one part, "train" or "test"; raises as `read_parquet` does."""
    paths = _shards(folder, part)
    if not paths:
        raise broken(folder / f"{part}.parquet", f"the {part} images", "nothing: there is no such file")
    of = re.search(r"-of-(\d+)", paths[0].name)
    if of and len(paths) != int(of[1]):
        raise broken(paths[0], f"to find {int(of[1])} such files, as its name says", f"{len(paths)}")
    splits = [split for path in paths for split in _read_file(path, reading)]
    if not splits:
        raise broken(paths[0], "at least one row", "none")
    return joined(splits)


def _shards(folder: Path, part: str) -> list[Path]:
    return sorted(folder.glob(f"{part}*.parquet"))


def _read_file(path: Path, reading: Reading) -> list[Split]:
    """Read one file, some rows at a time."""
    import pyarrow
    import pyarrow.parquet

    if path.is_dir():
        raise broken(path, "a Parquet file", "a folder of that name")
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            column = _image_column(file.schema_arrow, path)
            _check_metadata(file.schema_arrow.metadata or {}, path, reading)
            batches = list(file.iter_batches(ROWS, columns=[column, "label"]))
    except (pyarrow.ArrowException, OSError) as error:
        raise broken(path, "a whole Parquet file", f"one that cannot be read ({error})") from error
    firsts = accumulate((len(batch) for batch in batches), initial=0)
    read = partial(_read_rows, column=column, path=path, reading=reading)
    if not reading.num_workers:
        return list(map(read, batches, firsts))
    with ThreadPoolExecutor(reading.num_workers) as pool:
        return list(pool.map(read, batches, firsts))


def _read_rows(batch: "pyarrow.RecordBatch", first: int, *, column: str, path: Path, reading: Reading) -> Split:
    """Decode some rows; `first` is the position of the first of them in the file."""
    encoded = batch.column(column).field("bytes").to_pylist()
    images = np.stack([_decode(image, row, reading.shape, path) for row, image in enumerate(encoded, first)])
    labels = batch.column("label")
    if labels.null_count:
        raise broken(path, "a label in every row", f"none in row {first + labels.is_null().index(True).as_py():,}")
    return labelled(images, np.asarray(labels), reading=reading, path=path, first=first)


def _image_column(schema: "pyarrow.Schema", path: Path) -> str:
    """Find the column of images and check that it and the labels are of the right types."""
    import pyarrow

    column = next((name for name in IMAGE_COLUMNS if name in schema.names), None)
    if column is None or "label" not in schema.names:
        raise broken(path, "the columns img (or image) and label", f"the columns {', '.join(schema.names) or 'none'}")
    kind = schema.field(column).type
    if not pyarrow.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise broken(path, f"column {column} of {{bytes, path}}", f"{kind}")
    if not pyarrow.types.is_integer(schema.field("label").type):
        raise broken(path, "column label of integers", f"{schema.field('label').type}")
    return column


def _check_metadata(metadata: dict[bytes, bytes], path: Path, reading: Reading) -> None:
    """Compare the class names, where the writer left them, with those that are expected."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError):
        return  # other writers leave none
    check_classes(names, reading=reading, path=path)


def _decode(encoded: bytes | None, row: int, shape: Shape, path: Path) -> np.ndarray:
    """Decode one image to uint8 (C, H, W); its size is checked before its pixels are, so that a bomb stays shut."""
    channels, height, width = shape
    try:
        with Image.open(io.BytesIO(encoded or b""), formats=FORMATS) as image:
            size = image.size
            if size == (width, height):
                pixels = np.asarray(image.convert("RGB" if channels == 3 else "L"))
                return pixels.reshape(height, width, channels).transpose(2, 0, 1)
    except Exception as error:  # Pillow's plugins raise whatever damaged bytes lead them to
        received = f"one that cannot be decoded ({error})" if encoded else "none"
        raise broken(path, f"an image in row {row:,}", received) from error
    raise broken(path, f"an image of {width}x{height} pixels in row {row:,}", f"one of {size[0]}x{size[1]}")
