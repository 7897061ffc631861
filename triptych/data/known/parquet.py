"""Lists known data sets in Parquet files of the Hugging Face layout: a column of encoded images and one of labels."""

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from triptych.data.invalid import invalid
from triptych.data.known.reading import Part, Parts, Reading, check_classes, checked_labels
from triptych.data.listing import Joined
from triptych.data.own.parquet import ParquetImages, ParquetTable

IMAGE_COLUMNS = ("img", "image")


def find_parquet(folder: Path) -> Path | None:
    """Return the folder with `train*.parquet` or `test*.parquet`: `folder`, or `data` or `plain_text` in it."""
    folders = (folder, folder / "data", folder / "plain_text")
    return next((place for place in folders if _shards(place, "train") or _shards(place, "test")), None)


def read_parquet(folder: Path, reading: Reading) -> Parts:
    """List `train*.parquet` and `test*.parquet`, each in one or several shards; no image is decoded.

    Raises:
        DataError: A file is missing or damaged, or has other columns or labels than expected.
    """
    train, test = (_read_part(folder, part, reading) for part in ("train", "test"))
    return train, test


def _read_part(folder: Path, part: str, reading: Reading) -> Part:
    paths = _shards(folder, part)
    if not paths:
        raise invalid(folder / f"{part}.parquet", f"the {part} images", "nothing: there is no such file")
    of = re.search(r"-of-(\d+)", paths[0].name)
    if of and len(paths) != int(of[1]):
        raise invalid(paths[0], f"to find {int(of[1])} such files, as in its name", f"{len(paths)}")
    images, labels = zip(*(_read_shard(path, reading) for path in paths), strict=True)
    return Part(Joined(images), torch.cat(labels))


def _shards(folder: Path, part: str) -> list[Path]:
    return sorted(folder.glob(f"{part}*.parquet"))


def _read_shard(path: Path, reading: Reading) -> tuple[ParquetImages, Tensor]:
    """Check the columns and the labels of one file."""
    import pyarrow

    table = ParquetTable(path)
    column = next((name for name in IMAGE_COLUMNS if name in table.names), None)
    if column is None or "label" not in table.names:
        raise invalid(path, "the columns img (or image) and label", f"the columns {', '.join(table.names) or 'none'}")
    kind = table.kind(column)
    if not pyarrow.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise invalid(path, f"column {column} of {{bytes, path}}", f"{kind}")
    if not pyarrow.types.is_integer(table.kind("label")):
        raise invalid(path, "column label of integers", f"{table.kind('label')}")
    if "label" in table.class_names:
        check_classes(table.class_names["label"], reading=reading, path=path)
    labels = table.column("label")
    if labels.null_count:
        raise invalid(path, "a label in every row", f"none in row {labels.is_null().index(True).as_py():,}")
    return ParquetImages(path, column), checked_labels(np.asarray(labels), reading=reading, path=path)
