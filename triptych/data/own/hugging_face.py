"""Lists data sets of Hugging Face's library `datasets`: saved folders, and names on the hub."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from triptych.data.listing import SPLITS, TRAIN, Joined, LazySources, Listing, listed, split_of
from triptych.data.own.classes import check_groups, class_name, number_classes, number_values, one_spelling, plain_text
from triptych.data.own.parquet import embedded
from triptych.data.pixels.opening import Source
from triptych.errors import DataError, DownloadError

if TYPE_CHECKING:
    import datasets

LABEL_COLUMNS = ("label", "labels")
"""Names of a label column, if its type does not identify it."""


def list_hugging_face(
    name: str | Path,
    *,
    subset: str | None = None,
    image: str | None = None,
    label: str | None = None,
    group: str | None = None,
) -> Listing:
    """List a data set of the library `datasets` with the splits train, val (or valid, or validation) and test.

    Args:
        name: A folder written by `save_to_disk`, or any folder or name on the hub that `load_dataset` accepts.
        subset: The library's configuration, if a name has several.
        image: The column of images; None for the only one of type Image.
        label: The column of labels; None for the only one of type ClassLabel, or else the one named label or labels.
        group: The column of groups that must not be spread over several splits.

    Returns:
        The images sorted by split and row, and classes in the order of the ClassLabel. Splits with other names or
        without labels are omitted with a note.

    Raises:
        DataError: The library is not installed; the folder is not readable by it; the training split, a column or a
            label is missing; a group is spread over splits; there is only one class, or a class without training
            images.
        DownloadError: The data set could not be downloaded from the hub.
    """
    loaded, notes = _by_part(_loaded(name, subset), str(name))
    features = loaded[TRAIN].features
    image = _column(features, image, kind="Image", names=(), origin=str(name))
    label = _column(features, label, kind="ClassLabel", names=LABEL_COLUMNS, origin=str(name))
    if group is not None:
        _column(features, group, kind="ClassLabel", names=(), origin=str(name))
    class_names = getattr(features[label], "names", [])
    text = class_name(class_names) if class_names else plain_text
    labels, codes = number_values(_values(loaded, label), text)
    sizes = [len(rows) for rows in loaded.values()]
    parts = np.repeat(np.array(list(loaded), np.int8), sizes)
    unlabelled = [part for part in loaded if part != TRAIN and (codes[parts == part] < 0).all()]
    if unlabelled:
        notes.append(f"Left out the splits without labels: {listed(SPLITS[part] for part in unlabelled)}.")
        kept = ~np.isin(parts, unlabelled)
        codes, parts = codes[kept], parts[kept]
        loaded = {part: rows for part, rows in loaded.items() if part not in unlabelled}
    rows = [f"{SPLITS[part]} row {row}" for part, split in loaded.items() for row in range(len(split))]
    if missing := np.flatnonzero(codes < 0).tolist():
        raise DataError(
            f"{name}: expected a label in column {label} of every row, but received none in "
            f"{listed(rows[place] for place in missing)}. Take these rows out."
        )
    groups = None
    if group is not None:
        names, numbers = number_values(_values(loaded, group), plain_text)
        groups = [names[number] if number >= 0 else None for number in numbers]
        check_groups(groups, parts, origin=str(name))
    codes, alike = one_spelling(labels, codes, parts)
    notes += alike
    numbered, classes = number_classes(labels, codes, parts, origin=str(name), order=class_names)
    return Listing(
        sources=Joined([_Images(split, image) for split in loaded.values()]),
        names=rows,
        labels=numbered,
        classes=classes,
        split=torch.from_numpy(parts),
        groups=groups,
        origin=f"read from {name} by the library datasets",
        notes=tuple(notes),
    )


class _Images(LazySources):
    """The images of a split, encoded as stored."""

    def __init__(self, split: "datasets.Dataset", column: str) -> None:
        import datasets

        self._column = column
        self._split = split.select_columns([column]).cast_column(column, datasets.Image(decode=False))

    def __len__(self) -> int:
        return len(self._split)

    def at(self, place: int) -> Source:
        return embedded(self._split[place][self._column], Path())


def _loaded(name: str | Path, subset: str | None) -> "dict[str, datasets.Dataset]":
    """Load a data set with the library: its splits by name."""
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"{name}: Hugging Face's data sets need the library datasets, which is not installed. "
            "Install it: pip install 'triptych[huggingface]'."
        ) from error
    folder = Path(name).expanduser()
    is_path = folder.exists() or isinstance(name, Path) or str(name).startswith((".", "/", "~"))
    try:
        if (folder / "dataset_dict.json").exists() or (folder / "state.json").exists():
            found = datasets.load_from_disk(str(folder))
        elif folder.is_dir() or not is_path:
            found = datasets.load_dataset(str(folder) if is_path else str(name), subset)
        else:
            received = "a file" if folder.exists() else "nothing: there is no such folder"
            raise DataError(f"{name}: expected a folder of a data set, but received {received}.")
    except DataError:
        raise
    except Exception as error:  # errors of the library, its hub, the network or the readers
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        if is_path:
            raise DataError(f"{name}: the library datasets cannot read this folder ({reason}).") from error
        raise DownloadError(
            f"{name}: there is no such folder, and the hub of Hugging Face did not give a data set of that name "
            f"({reason}). Check the name and the connection, or name a folder that holds the data set."
        ) from error
    return dict(found) if isinstance(found, dict) else {"train": found}


def _by_part(loaded: "dict[str, datasets.Dataset]", origin: str) -> "tuple[dict[int, datasets.Dataset], list[str]]":
    """Sort the splits by their positions in SPLITS, and note those with other names."""
    known = [split for split in loaded if split_of(str(split)) is not None]
    parts = {part: loaded[split] for split in known if (part := split_of(str(split))) is not None}
    if TRAIN not in parts or len(parts) < len(known):
        raise DataError(
            f"{origin}: expected a split train, and at most one each of {', '.join(SPLITS[1:])}, but received "
            f"{listed(map(str, loaded))}."
        )
    others = [str(split) for split in loaded if split not in known]
    notes = [f"Left out, as neither of training, validation nor test: the splits {listed(others)}."] if others else []
    return dict(sorted(parts.items())), notes


def _values(loaded: "dict[int, datasets.Dataset]", column: str) -> Iterator[object]:
    """Read a column of all splits (through Arrow, because reading row by row takes a thousand times as long)."""
    for split in loaded.values():
        if column in split.column_names:
            yield from split.select_columns([column]).with_format("arrow")[:].column(column).to_pylist()
        else:
            yield from repeat(None, len(split))


def _column(features: "datasets.Features", name: str | None, *, kind: str, names: Sequence[str], origin: str) -> str:
    """Find a column: the given one, if its values are usable, or else by type or by its usual names."""
    types = {column: type(feature).__name__ for column, feature in features.items()}
    if name:
        fitting = [name] if types.get(name) in (kind, "Value") else []
    else:
        fitting = [column for column, found in types.items() if found == kind] or [one for one in names if one in types]
    if len(fitting) == 1:
        return fitting[0]
    columns = listed((f"{column} ({found})" for column, found in types.items()), shown=20)
    expected = f"a column {name} of type {kind} or Value" if name else f"one column of type {kind}"
    raise DataError(f"{origin}: expected {expected}, but received the columns {columns}. Name the one to use.")
