"""Tables of images, CSV or Parquet, for jobs: the rows as places and labels.

Training reads tables with more conditions (`data/own/table.py`): labels in every row, splits, classes. A job needs an
image in each row, and no PyTorch.
"""

from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

from triptych.data.own.columns import CsvTable, Table
from triptych.data.own.parquet import ParquetImages, ParquetTable
from triptych.errors import DataError

ROW = "#row="
"""Between the path of a table and the number of a row."""


def list_rows(file: Path) -> Iterator[tuple[str, str | None]]:
    """Yield place and label of each row.

    A row names a file in the column `path` (or `image`), relative to the folder of the table, or a URL; or it holds the
    image itself in the column `image`, as bytes or as {bytes, path}. The column `label` need not exist.

    Raises:
        DataError: The table is damaged, or has no such column, or a row without an image.
    """
    import pyarrow as pa

    is_parquet = file.suffix.lower() == ".parquet"
    table: Table = ParquetTable(file) if is_parquet else CsvTable.read(file, expected=("path", "image", "label"))
    name = _image_column(table)
    kind = table.kind(name)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    images: Iterable[Any] = table.column(name).to_pylist() if is_text else repeat(True, len(ParquetImages(file, name)))
    labels = table.column("label").to_pylist() if "label" in table.names else repeat(None)
    for number, (image, label) in enumerate(zip(images, labels, strict=False)):
        text = None if label in (None, "") else str(label)
        if image is True:
            yield f"{file}{ROW}{number}", text
        elif isinstance(image, str) and image.strip():
            yield image if "://" in image else str(file.parent / image.strip().replace("\\", "/")), text
        else:
            raise DataError(f"{file}: expected an image in every row, but row {number} has none. Fix the table.")


def embedded_images(file: Path) -> ParquetImages:
    """Open the images that a Parquet file holds itself."""
    return ParquetImages(file, _image_column(ParquetTable(file)))


def _image_column(table: Table) -> str:
    found = next((name for name in ("image", "path") if name in table.names), None)
    if found is None:
        raise DataError(
            f"{table.file}: expected a column path of files, or image of encoded images; got "
            f"{', '.join(table.names)[:200]}. Rename the column."
        )
    return found
