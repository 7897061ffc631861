"""Tables of images, CSV or Parquet, for jobs: the rows as places and labels, and the images that Parquet holds itself.

Training reads tables with more conditions (`data/own/table.py`): labels in every row, splits, classes. A job needs an
image in each row, and no PyTorch.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.data.own.columns import CsvTable
from triptych.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE = 10_000
"""Rows that are listed at a time."""
ROW = "#row="
"""Between the path of a table and the number of a row."""


def list_rows(table: Path) -> Iterator[tuple[str, str | None]]:
    """Yield place and label of each row.

    A row names a file in the column `path` (or `image`), relative to the folder of the table, or a URL; or it holds the
    image itself in the column `image`, as bytes or as {bytes, path}. The column `label` need not exist.

    Raises:
        DataError: The table is damaged, or has no such column, or a row without an image.
    """
    rows = _parquet_rows(table) if table.suffix.lower() == ".parquet" else _csv_rows(table)
    for number, (image, label) in enumerate(rows):
        text = None if label is None else str(label)
        if image is True:
            yield f"{table}{ROW}{number}", text
        elif isinstance(image, str) and image.strip():
            yield image if "://" in image else str(table.parent / image.strip().replace("\\", "/")), text
        else:
            raise DataError(f"{table}: expected an image in every row, but row {number} has none. Fix the table.")


def row_bytes(column: "pa.ChunkedArray", row: int, folder: Path) -> bytes | Path:
    """Return the image in a cell of bytes or of {bytes, path}."""
    value = column[row].as_py()
    content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    return folder / path if path and content is None else bytes(content or b"")


def _csv_rows(table: Path) -> Iterator[tuple[Any, Any]]:
    read = CsvTable.read(table, expected=("path", "image", "label"))
    name = _image_column(table, read.names)
    images = read.texts(name)
    labels = [text or None for text in read.texts("label")] if "label" in read.names else [None] * len(images)
    yield from zip(images, labels, strict=True)


def _parquet_rows(table: Path) -> Iterator[tuple[Any, Any]]:
    """Yield the text of a path, or True for bytes, which are not read here."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(table) as file:
            schema = file.schema_arrow
            name = _image_column(table, schema.names)
            kind = schema.field(name).type
            is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
            wanted = [*([name] if is_text else []), *(["label"] if "label" in schema.names else [])]
            if not wanted:
                yield from ((True, None) for _ in range(file.metadata.num_rows))
                return
            for batch in file.iter_batches(AT_ONCE, columns=wanted):
                labels = batch["label"].to_pylist() if "label" in wanted else [None] * len(batch)
                images = batch[name].to_pylist() if is_text else [True] * len(batch)
                yield from zip(images, labels, strict=True)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{table}: expected a Parquet file, but it cannot be read ({error}).") from error


def _image_column(table: Path, names: "list[str] | tuple[str, ...]") -> str:
    found = next((name for name in ("image", "path") if name in names), None)
    if found is None:
        raise DataError(
            f"{table}: expected a column path of files, or image of encoded images; got {', '.join(names)[:200]}. "
            "Rename the column."
        )
    return found
