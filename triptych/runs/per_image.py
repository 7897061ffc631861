"""The results of a checkpoint for every image of a split: written by evaluation, compared by `triptych runs`.

One Parquet file per split, `per_image_<split>.parquet`, next to the run's metrics.json. Each row is an image.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import DataError
from triptych.files import replacing
from triptych.metrics.intervals import Statistic, calibration_error, macro_f1, mean

REQUIRED = ("index", "label")
"""Columns of integers that every table has: the image's position in the split, and its class."""
KEY = b"triptych"
"""Key of the description in the file's metadata."""

AVERAGED = (
    *("nll", "precision_at_1", "recall_at_5", "recall_at_10", "r_precision", "map_at_r", "mrr"),
    *("mse", "psnr", "ssim", "kl_divergence"),
)
"""Columns whose mean over the images is a metric of the split; an image alone in its class has no value."""
SHARES = ("precision_at_1", "recall_at_5", "recall_at_10", "r_precision", "map_at_r", "mrr")
"""Columns of retrieval metrics, which are between 0 and 1 and also depend on the other images."""
POSITIVE = ("nll", "mse", "kl_divergence")
"""Columns that are never negative."""
ROUNDING = 1e-5
"""Tolerance above 1 for probabilities in float32."""
HITS = ("precision_at_1", "recall_at_5", "recall_at_10")
"""Columns that are 0 or 1 for each image."""


@dataclass(frozen=True)
class PerImage:
    """A table of results per image.

    Attributes:
        columns: Arrays of equal length by name, in the order of `index`.
        description: The images of the table: `dataset`, `split`, `classes`, `holdout`, and `images`, the digest of
            their pixels and labels; `influences` of the retrieval metrics; and any other stored values.
    """

    columns: dict[str, NDArray[Any]]
    description: dict[str, Any]

    @property
    def knows_influences(self) -> bool:
        """Whether the table has the influences for intervals of retrieval metrics; tables of older versions do not."""
        found = self.description.get("influences")
        wanted = [name for name in SHARES if name in self.columns]
        return isinstance(found, dict) and all(_are_numbers(found.get(name)) for name in wanted)

    def statistics(self) -> dict[str, Statistic]:
        """Return the metrics of the split: those of the classifier, and the means of the metric columns.

        A column without any value, such as the average precision if every class has one image, is omitted.
        """
        columns, found = self.columns, {}
        if "prediction" in columns:
            found["accuracy"] = mean(columns["prediction"] == columns["label"], is_share=True)
            found["macro_f1"] = macro_f1(columns["label"], columns["prediction"])
            if "confidence" in columns:
                found["ece"] = calibration_error(columns["confidence"], columns["prediction"] == columns["label"])
        if "nearest_class" in columns:
            found["nearest_neighbour_accuracy"] = mean(columns["nearest_class"] == columns["label"], is_share=True)
        influences = self.description.get("influences") if self.knows_influences else {}
        assert isinstance(influences, dict)
        for name in AVERAGED:
            if name in columns and np.isfinite(columns[name]).any():
                figure = mean(columns[name], is_share=name in SHARES)
                if name in influences:
                    values = np.array(influences[name], dtype=np.float64)
                    figure = replace(figure, influences=values, counts_images=name in HITS)
                found[name] = replace(figure, least=0.0) if name in POSITIVE else figure
        return found


def write_per_image(path: Path, columns: Mapping[str, NDArray[Any]], description: Mapping[str, Any]) -> None:
    """Write a table atomically.

    Args:
        path: The file, which is replaced.
        columns: One-dimensional arrays of equal length, including `index` and `label`. NaN means not measured.
        description: Description of the images, as JSON values.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "per_image_test.parquet"
        >>> columns = {"index": np.arange(2), "label": np.array([7, 2]), "correct": np.array([True, False])}
        >>> write_per_image(path, columns, {"dataset": "digits", "split": "test"})
        >>> table = read_per_image(path)
        >>> table.columns["correct"].mean(), table.description["dataset"]
        (np.float64(0.5), 'digits')
    """
    import pyarrow
    import pyarrow.parquet

    metadata = {KEY: json.dumps(dict(description)).encode()}
    table = pyarrow.table({name: pyarrow.array(column) for name, column in columns.items()}, metadata=metadata)
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_per_image(path: Path) -> PerImage:
    """Read a table that `write_per_image` wrote.

    Raises:
        DataError: The file is missing, damaged, or no such table.
    """
    import pyarrow
    import pyarrow.parquet

    if not path.is_file():
        raise _invalid(path, "a folder of that name" if path.is_dir() else "nothing: there is no such file")
    try:
        with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
    except (pyarrow.ArrowException, OSError) as error:
        raise _invalid(path, f"one that cannot be read ({error})") from error
    description = _description(table.schema.metadata or {}, path)
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    for name in REQUIRED:
        if name not in columns or not columns[name].size:
            raise _invalid(path, f"one without integers in a column {name!r}")
    for name, kinds in {
        **dict.fromkeys((*REQUIRED, "prediction", "nearest_class"), "iu"),
        **dict.fromkeys((*AVERAGED, "confidence"), "f"),
    }.items():
        if name in columns and columns[name].dtype.kind not in kinds:
            what = "integers" if kinds == "iu" else "numbers"
            raise _invalid(path, f"one without {what} in a column {name!r}")
    sure = columns.get("confidence", np.zeros(1))
    if not ((sure >= 0) & (sure <= 1 + ROUNDING)).all():
        raise _invalid(path, "one with other values than 0 to 1 in the column 'confidence'")
    order = np.argsort(columns["index"], kind="stable")
    return PerImage({name: column[order] for name, column in columns.items()}, description)


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, int | float) and isfinite(value) for value in values)


def _description(metadata: Mapping[bytes, bytes], path: Path) -> dict[str, Any]:
    try:
        description = json.loads(metadata[KEY])
    except (KeyError, ValueError) as error:
        raise _invalid(path, "one without a description of its images") from error
    if not isinstance(description, dict):
        raise _invalid(path, f"one whose description is {description!r}")
    return description


def _invalid(path: Path, received: str) -> DataError:
    return DataError(
        f"{path}: expected a table of results per image, as `triptych evaluate` writes it, but received {received}. "
        "Remove it and evaluate the run's best checkpoint again."
    )
