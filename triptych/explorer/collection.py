"""The images of a page: those of a run's split, or those of a folder or a table, prepared as the model's run did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from triptych.artefacts.description import ModelDescription
from triptych.data.images import Split
from triptych.data.known.locate import decoded_folder
from triptych.data.listing import SPLITS, Files, Listing, listed, printable
from triptych.data.own.folder import list_folder
from triptych.data.own.table import list_table
from triptych.data.own.unlabelled import THREADS, image_files
from triptych.data.pixels.cache import decode_once
from triptych.data.pixels.entries import Form
from triptych.data.pixels.mapped import Images, joined, padded, select
from triptych.errors import DataError
from triptych.evaluation.measuring.outputs import without_border
from triptych.text import counted

if TYPE_CHECKING:
    from triptych.data.module import ImageDataModule

# N images, C channels, H/W image.

UNKNOWN = -1
"""The label of an image without a known class."""

TABLES = (".csv", ".tsv", ".parquet")
SPLIT_TITLES = ("train", "val", "test")
UNSPLIT = ("images",)
NAMED = 5

Original: TypeAlias = Callable[[int], Path | bytes | None]
"""Returns the file, or the encoded bytes, of an image by its row; None where there are only pixels."""


@dataclass(frozen=True, eq=False)
class Collection:
    """Images and their data that need no model.

    Attributes:
        title: Display name.
        classes: The classes that the labels count, (K,).
        images: uint8 (N, C, H, W), with the border that `dataset.pad` adds.
        pad: The width of that border.
        labels: (N,) int64; `UNKNOWN` for images without a known class.
        split_names: The existing splits.
        split: Positions in `split_names`, (N,).
        position: Where each image stands in its source's own training, validation or test images, (N,).
        names: The files of the images as corrections name them, (N,); None where they are named by split and position.
        original: Returns the file or the bytes of an image.
        corrections: The corrections that are already applied to the labels; None if there are none.
        notes: Omitted images, in sentences.
    """

    title: str
    classes: tuple[str, ...]
    images: Images
    pad: int
    labels: Tensor
    split_names: tuple[str, ...]
    split: Tensor
    position: Tensor
    names: Sequence[str] | None
    original: Original
    corrections: Path | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_labels(self) -> bool:
        """Whether the class of every image is known."""
        return bool((self.labels >= 0).all())

    def pixels(self, rows: slice | Tensor) -> Tensor:
        """Read images without their border: uint8 (n, C, h, w)."""
        return without_border(self.images[rows], self.pad)

    def select(self, rows: Tensor) -> "Collection":
        """Return some of the images, by their rows (n,)."""
        chosen, original = rows.tolist(), self.original
        return replace(
            self,
            images=select(self.images, rows),
            labels=self.labels[rows],
            split=self.split[rows],
            position=self.position[rows],
            names=None if self.names is None else [self.names[row] for row in chosen],
            original=lambda row: original(chosen[row]),
        )

    def name(self, row: int) -> str:
        """Return the name of an image on the page."""
        if self.names is not None:
            return self.names[row]
        return f"{self.split_names[int(self.split[row])]}/{int(self.position[row])}"


def of_run(data: "ImageDataModule", *, split: str) -> Collection:
    """Take images of a trained model's run.

    Args:
        data: The images of the run.
        split: "train", "val", "test", or "all".

    Raises:
        DataError: The split has no images.
    """
    parts: dict[str, tuple[Split, Tensor]] = {
        "train": (data.train, data.positions["train"]),
        "val": (data.validation, data.positions["validation"]),
        "test": (data.test, data.positions["test"]),
    }
    wanted = [name for name in SPLIT_TITLES if split in (name, "all") and len(parts[name][0])]
    if not wanted:
        raise DataError(f"{data.title}: expected images in the split {split}, but there are none. Choose another one.")
    chosen = [parts[name] for name in wanted]
    names = [name for part, _ in chosen for name in part.names or ()] or None
    dataset = data.config.dataset
    return Collection(
        title=data.title,
        classes=data.classes,
        images=joined([part.images for part, _ in chosen]),
        pad=dataset.pad,
        labels=torch.cat([part.labels.cpu() for part, _ in chosen]),
        split_names=tuple(wanted),
        split=torch.from_numpy(np.repeat(np.arange(len(chosen)), [len(part) for part, _ in chosen])),
        position=torch.cat([position for _, position in chosen]),
        names=names,
        original=_by_name(dataset.root if dataset.name in ("folder", "table") else None, names),
        corrections=Path(dataset.corrections) if dataset.corrections else None,
        notes=tuple(data.notes),
    )


def of_images(place: Path, description: ModelDescription) -> Collection:
    """Take the images of a folder, or of a table (CSV or Parquet), and prepare them as the model's run did.

    A class folder, or a label of the table, that the model knows is an image's label; others count as unknown. Files
    that cannot be decoded are left out, and the notes name them. Decoded images are kept in the cache.

    Raises:
        DataError: There are no images.
    """
    listing = _listing(place)
    form = description.preprocessing
    decoded = decode_once(
        listing.encoded,
        Form(form.shape, form.fit, white=form.white, background=form.background),
        origin=listing.origin,
        cache=decoded_folder(),
        threads=THREADS,
    )
    kept = torch.tensor([row for row in range(len(listing)) if row not in decoded.rejected], dtype=torch.int64)
    if not len(kept):
        raise DataError(f"{place}: expected images, but none can be decoded: {next(iter(decoded.rejected.values()))}.")
    parts = sorted(set(listing.split.tolist()))
    is_split = len(parts) > 1
    sources, rows = listing.encoded, kept.tolist()
    return Collection(
        title=place.name or str(place),
        classes=description.classes,
        images=padded(select(decoded.images, kept), form.pad),
        pad=form.pad,
        labels=_known_labels(listing, description.classes)[kept],
        split_names=SPLIT_TITLES if is_split else UNSPLIT,
        split=listing.split[kept].long() if is_split else torch.zeros(len(kept), dtype=torch.int64),
        position=_positions(listing)[kept],
        names=None if listing.names is None else [listing.names[row] for row in rows],
        original=lambda row: sources[rows[row]],
        notes=(*listing.notes, *_rejected(listing, decoded.rejected)),
    )


def _listing(place: Path) -> Listing:
    if not place.is_dir() and place.suffix.lower() in TABLES:
        return list_table(place)
    if not place.is_dir():
        raise DataError(f"{place}: expected a folder of images, or a table ({', '.join(TABLES)}); check the path.")
    try:
        return list_folder(place)
    except DataError:  # no folder for each class: images without labels
        files = image_files(place)
    paths = [file.relative_to(place).as_posix() for file in files]
    # A file in the folder that was named has no label.
    folders = ["" if file.parent == place else file.parent.name for file in files]
    classes = tuple(dict.fromkeys(folders))
    return Listing(
        sources=Files(place, paths),
        labels=torch.tensor([classes.index(folder) for folder in folders], dtype=torch.int64),
        classes=classes,
        split=torch.zeros(len(paths), dtype=torch.int8),
        origin=f"read from {place}",
        names=[printable(path) for path in paths],
    )


def _known_labels(listing: Listing, classes: Sequence[str]) -> Tensor:
    """Translate the labels of a listing into those of the model."""
    number = {name: label for label, name in enumerate(classes)}
    return torch.tensor([number.get(name, UNKNOWN) for name in listing.classes], dtype=torch.int64)[listing.labels]


def _positions(listing: Listing) -> Tensor:
    positions = torch.zeros(len(listing), dtype=torch.int64)
    for part in range(len(SPLITS)):
        given = listing.split == part
        positions[given] = torch.arange(int(given.sum()))
    return positions


def _rejected(listing: Listing, rejected: dict[int, str]) -> tuple[str, ...]:
    if not rejected:
        return ()
    named = listed([f"{listing.name(row)} {reason}" for row, reason in rejected.items()], shown=NAMED)
    return (f"{counted(len(rejected), 'file')} cannot be decoded (left out): {named}.",)


def _by_name(root: str | None, names: Sequence[str] | None) -> Original:
    """Find the files of a run's images below its folder, or beside its table."""
    folder = None if root is None else Path(root).expanduser()
    if folder is not None and not folder.is_dir():
        folder = folder.parent

    def original(row: int) -> Path | bytes | None:
        if folder is None or names is None:
            return None
        try:
            return file if (file := folder / names[row]).is_file() else None
        except (OSError, ValueError):  # an invalid file name
            return None

    return original
