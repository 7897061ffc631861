"""The audit as a page of images: one file that needs no network."""

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from triptych.evaluation.audit.audit import Audit
from triptych.evaluation.measuring.outputs import Model, reconstructions
from triptych.evaluation.pages import environment
from triptych.evaluation.table import three_digits
from triptych.files import replacing
from triptych.inspection.thumbnails import data_uri
from triptych.models import MultiTaskImageTransformer
from triptych.version import __version__

CARDS = 60
"""Findings of each kind with all their images; the rest of them stand in a table below."""

PICTURED = 1000
"""Rows of a table that have a thumbnail: the page stays small enough for a browser."""

SHOWN_NEIGHBOURS = 8

LARGE, SMALL = 160, 64
"""Pixels to a side of an image that is judged, and of one beside it."""


class Shown(NamedTuple):
    """An image on the page."""

    source: str
    """A data URI; empty where the page would become too large."""
    label: str
    place: str
    """Split and file, or position."""
    agrees: bool
    """Whether it has the class of the image beside it."""


class Suspect(NamedTuple):
    """A label that is probably wrong, with the evidence."""

    image: Shown
    suggested: str
    classifier: str
    agreement: str
    error: str
    neighbours: list[Shown]


class Pair(NamedTuple):
    """Two images of one picture."""

    images: tuple[Shown, Shown]
    likeness: str
    remarks: list[str]


class Outlier(NamedTuple):
    """An image unlike all others, and its reconstruction."""

    image: Shown
    reconstructed: str | None
    distance: str
    uncertainty: str
    error: str


def write_page(path: Path, model: Model, audit: Audit, *, dataset: str) -> None:
    """Write the page, whole or not at all.

    Args:
        path: The file.
        model: The model, whose decoder reconstructs the outliers.
        audit: What was found.
        dataset: The name of the data set.
    """
    pages = files("triptych.evaluation").joinpath("pages")
    album = _Album(audit)
    pairs = range(len(audit.duplicates.first))
    page = (
        environment()
        .get_template("audit.html")
        .render(
            version=__version__,
            css=pages.joinpath("report.css").read_text(encoding="utf-8"),
            own_css=pages.joinpath("audit.css").read_text(encoding="utf-8"),
            dataset=dataset,
            images=len(audit.pool),
            counts=audit.counts(),
            verdict=audit.verdict(),
            is_reliable=audit.doubts.is_reliable,
            suspects=[album.suspect(row) for row in audit.label_issues[:CARDS].tolist()],
            more_suspects=[album.suspect(row, rank) for rank, row in enumerate(audit.label_issues[CARDS:].tolist())],
            pairs=[album.pair(number) for number in pairs[:CARDS]],
            more_pairs=[album.pair(number, rank) for rank, number in enumerate(pairs[CARDS:])],
            outliers=album.outliers(audit.outlier_rows[:CARDS], model),
            more_outliers=album.outliers(audit.outlier_rows[CARDS:]),
            has_decoder=audit.pool.error is not None,
            pictured=PICTURED,
        )
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


class _Album:
    """Turns rows of the pool into images with words. A rank is a place in a table, of which the first have images."""

    def __init__(self, audit: Audit) -> None:
        self.audit, self.pool, self.classes = audit, audit.pool, audit.classes

    def shown(self, row: int, *, beside: int | None = None, rank: int | None = None, side: int = LARGE) -> Shown:
        label = int(self.pool.labels[row])
        place = f"{self.pool.split_name(row)}: {self.pool.name(row)}"
        source = ""
        if rank is None or rank < PICTURED:
            source = data_uri(self.pool.images[row], longest=side if rank is None else SMALL)
        return Shown(source, self.classes[label], place, beside is None or label == beside)

    def suspect(self, row: int, rank: int | None = None) -> Suspect:
        doubts = self.audit.doubts
        label = int(self.pool.labels[row])
        near = self.pool.neighbours[row, :SHOWN_NEIGHBOURS].tolist() if rank is None else []
        return Suspect(
            image=self.shown(row, rank=rank),
            suggested=self.classes[int(doubts.suggested[row])],
            classifier=_percent(doubts.classifier[row]),
            agreement=_percent(doubts.agreement[row]),
            error=self._error(row),
            neighbours=[self.shown(other, beside=label, side=SMALL) for other in near],
        )

    def pair(self, number: int, rank: int | None = None) -> Pair:
        found = self.audit.duplicates
        first, second = int(found.first[number]), int(found.second[number])
        splits = {self.pool.split_name(first), self.pool.split_name(second)}
        remarks = []
        if len(splits) > 1:
            remarks.append("in the test set and outside it" if "test" in splits else "in train and val")
        if self.pool.labels[first] != self.pool.labels[second]:
            remarks.append("different labels")
        likeness = "same pixels" if found.exact[number] else f"correlation {float(found.similarity[number]):.3f}"
        return Pair((self.shown(first, rank=rank), self.shown(second, rank=rank)), likeness, remarks)

    def outliers(self, rows: Tensor, model: Model | None = None) -> list[Outlier]:
        found = self.audit.outliers
        pictures: list[str | None] = [None] * len(rows)
        if isinstance(model, MultiTaskImageTransformer) and len(rows):
            pixels = (reconstructions(model, self.pool.images[rows]).clamp(0, 1) * 255).round().byte()
            pictures = [data_uri(image, longest=LARGE) for image in pixels]
        return [
            Outlier(
                image=self.shown(row, rank=rank if model is None else None),
                reconstructed=picture,
                distance=three_digits(float(found.distance[row])),
                uncertainty=f"{float(found.uncertainty[row]):.2f}",
                error=self._error(row),
            )
            for rank, (row, picture) in enumerate(zip(rows.tolist(), pictures, strict=True))
        ]

    def _error(self, row: int) -> str:
        return "" if self.pool.error is None else three_digits(float(self.pool.error[row]))


def _percent(share: Tensor) -> str:
    value = float(share)
    return f"{value:.1%}" if value >= 0.001 else "under 0.1%"
