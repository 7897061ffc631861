"""Suggests a config for your own images, with a reason for each choice; for `triptych init`."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from triptych.config.loader import load_config
from triptych.config.schema import RunConfig
from triptych.data.builder import list_images
from triptych.data.listing import TEST, TRAIN, VALIDATION, Listing
from triptych.errors import DataError
from triptych.files import replacing
from triptych.inspection.flips import Flips
from triptych.inspection.suggestion.choices import Facts, suggest
from triptych.inspection.suggestion.commented import Chosen, commented
from triptych.inspection.suggestion.duration import estimated_seconds
from triptych.inspection.survey import Survey, survey
from triptych.text import terminal_text

TABLES = frozenset({".csv", ".tsv", ".parquet"})
CONFIGS = frozenset({".yaml", ".yml"})
THREADS = 4


@dataclass(frozen=True, eq=False)
class Suggestion:
    """A config for images, with reasons.

    Attributes:
        config: The config.
        choices: Chosen values and reasons by key path, in the order of the file; all other keys have their defaults.
        listing: The images.
        survey: Properties of a sample of them.
        flips: The decision about horizontal flips.
    """

    config: RunConfig
    choices: Mapping[str, Chosen]
    listing: Listing
    survey: Survey
    flips: Flips

    def text(self, file: str | Path = "triptych.yaml") -> str:
        """Return the YAML text, with reasons as comments; its first line is the command that trains with `file`."""
        head = (
            f"triptych train {shlex.quote(str(file))}\n\n"
            f"Written by `triptych init` for {len(self.listing):,} images of {len(self.listing.classes):,} classes, "
            f"from a sample of {self.survey.images:,}."
        )
        return commented(self.choices, head=head)

    def write(self, file: str | Path, *, force: bool = False) -> None:
        """Write the config.

        Raises:
            DataError: The file exists, and `force` is false.
        """
        file = Path(file)
        if file.exists() and not force:
            raise DataError(
                f"{terminal_text(file)}: expected the name of a new file, but it exists. Choose another name (--out), "
                "or overwrite it (--force)."
            )
        with replacing(file) as temporary:
            temporary.write_text(self.text(file), encoding="utf-8")
            load_config(temporary)

    def estimated_seconds(self) -> float:
        """Estimate the training time on this machine, in seconds, by a few steps on random images."""
        split, dataset = self.listing.split, self.config.dataset
        pool = int((split == TRAIN).sum())
        given = int((split == VALIDATION).sum())
        validation = given or round(pool * dataset.validation_fraction)
        train = pool - (0 if given else validation)
        if not (split == TEST).any():
            train -= round(pool * dataset.test_fraction)
        classes = len(self.listing.classes)
        return estimated_seconds(self.config, classes=classes, train=max(1, train), validation=validation)


def suggest_config(
    images: str | Path,
    *,
    flips: bool | None = None,
    image_size: int | tuple[int, int] | None = None,
    epochs: int | None = None,
    columns: Mapping[str, str] | None = None,
    has_gpu: bool | None = None,
) -> Suggestion:
    """Inspect labelled images and suggest a config for them.

    At most 1,000 images are decoded, an equal number of every class as far as possible.

    Args:
        images: A folder with one folder of images per class, optionally below folders train, val and test; or a table
            (CSV or Parquet) of images.
        flips: Whether to flip images horizontally; None: as class names and pixels suggest.
        image_size: Size in pixels that images are resized to, a number for squares or (height, width); None: as the
            images suggest.
        epochs: None: as the number of images suggests.
        columns: Names of the columns of a table: `{"label": "species"}`; as in `dataset.columns`.
        has_gpu: Whether the config is for training on a GPU; None: if this machine has one.

    Raises:
        DataError: There are no images, or they cannot be read.
        ConfigError: `image_size`, `epochs` or `columns` are out of range.
        TypeError: `images` is not a path.

    Example:
        >>> suggestion = suggest_config("photos")  # doctest: +SKIP
        >>> print(suggestion.text())  # doctest: +SKIP
        >>> triptych.train(suggestion.config)  # doctest: +SKIP
    """
    if not isinstance(images, str | os.PathLike):
        raise TypeError(f"expected a path (str or Path) of a folder or table; got {type(images).__name__}")
    place = Path(images)
    if place.suffix.lower() in CONFIGS:
        raise DataError(
            f"{terminal_text(place)}: expected a folder or table of images; got a config, for `triptych doctor`."
        )
    name: Literal["folder", "table"] = "table" if place.suffix.lower() in TABLES else "folder"
    named = {} if columns is None or name == "folder" else dict(columns)
    size = list(image_size) if isinstance(image_size, tuple) else image_size
    values: dict[str, object] = {
        "dataset": {"name": name, "root": str(place), "image_size": size or 64, "columns": named}
    }
    if epochs is not None:
        values["training"] = {"epochs": epochs}
    listing = list_images(load_config(values).dataset)
    seen = survey(listing, threads=THREADS)
    decision = seen.flips if flips is None else Flips(flips, "as requested")
    facts = Facts(
        name=name,
        root=str(place),
        columns=named,
        counts=torch.bincount(listing.labels[listing.split == TRAIN], minlength=len(listing.classes)).tolist(),
        has_validation=bool((listing.split == VALIDATION).any()),
        has_test=bool((listing.split == TEST).any()),
        sizes=seen.sizes,
        channels=seen.channels,
        unreadable=len(seen.unreadable),
        flips=decision,
        image_size=(image_size, image_size) if isinstance(image_size, int) else image_size,
        epochs=epochs,
    )
    choices = suggest(facts, has_gpu=torch.cuda.is_available() if has_gpu is None else has_gpu)
    config = load_config(_nested({path: chosen.value for path, chosen in choices.items()}))
    return Suggestion(config, choices, listing, seen, decision)


def _nested(flat: Mapping[str, object]) -> dict[str, object]:
    """Turn key paths into sections."""
    nested: dict[str, object] = {}
    for path, value in flat.items():
        *sections, key = path.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})  # type: ignore[assignment]
        inner[key] = value
    return nested
