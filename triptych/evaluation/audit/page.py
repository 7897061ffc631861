"""The audit as a page of pictures: one file without network, to look through and decide."""

from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from triptych.evaluation.audit.audit import Audit
from triptych.evaluation.audit.pool import SPLITS
from triptych.evaluation.outputs import Model, reconstructions
from triptych.files import replacing
from triptych.inspection.thumbnails import sprite_sheet, thumbnails
from triptych.models import MultiTaskImageTransformer
from triptych.version import __version__

SHOWN = 60
"""Suspects of each kind on the page; the tables have them all."""

SHOWN_NEIGHBOURS = 8

LONGEST = 96
"""Pixels to a side of a picture."""


class Shown(NamedTuple):
    """An image on the page."""

    source: str
    """A data URI."""
    label: str
    place: str
    """Split and name, or position."""
    agrees: bool
    """Whether it has the class that it stands beside."""


class Suspect(NamedTuple):
    """A label that is probably wrong, with what speaks against it."""

    image: Shown
    suggested: str
    classifier: str
    agreement: str
    error: str
    neighbours: list[Shown]


class Pair(NamedTuple):
    """Two images that are one picture."""

    images: tuple[Shown, Shown]
    likeness: str
    remarks: list[str]


class Stranger(NamedTuple):
    """An image unlike all others, and what the decoder makes of it."""

    image: Shown
    repainted: str | None
    distance: str
    uncertainty: str
    error: str


def write_page(path: Path, model: Model, audit: Audit, *, classes: Sequence[str], dataset: str) -> None:
    """Write the page, whole or not at all.

    Args:
        path: The file.
        model: The model, whose decoder repaints the outliers.
        audit: What was found.
        classes: Class names, by label.
        dataset: The name of the data set.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Class names are the user's: whatever is written into the page is escaped.
    environment = Environment(
        loader=PackageLoader("triptych.evaluation", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    pages = files("triptych.evaluation")
    album = _Album(audit, classes)
    page = environment.get_template("audit.html").render(
        version=__version__,
        css=pages.joinpath("pages/report.css").read_text(encoding="utf-8"),
        own_css=pages.joinpath("pages/audit.css").read_text(encoding="utf-8"),
        dataset=dataset,
        images=len(audit.pool),
        counts=counts(audit),
        suspects=[album.suspect(row) for row in audit.label_issues[:SHOWN].tolist()],
        pairs=[album.pair(number) for number in range(min(SHOWN, len(audit.duplicates.first)))],
        strangers=album.strangers(model, audit.outlier_rows[:SHOWN]),
        repaints=audit.pool.error is not None,
        shown=SHOWN,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def counts(audit: Audit) -> dict[str, int]:
    """Count what was found, for the head of the page and the command line."""
    is_test, labels = audit.pool.split == SPLITS.index("test"), audit.pool.labels
    first, second = audit.duplicates.first, audit.duplicates.second
    return {
        "label_issues": int(audit.doubts.likely.sum()),
        "duplicates": len(first),
        "exact": int(audit.duplicates.exact.sum()),
        "leaked": int((is_test[first] != is_test[second]).sum()),
        "contradictions": int((labels[first] != labels[second]).sum()),
        "outliers": int(audit.outliers.likely.sum()),
    }


class _Album:
    """Turns rows of the pool into pictures with words."""

    def __init__(self, audit: Audit, classes: Sequence[str]) -> None:
        self.audit, self.pool, self.classes = audit, audit.pool, classes
        self.names = audit.pool.split_names()

    def shown(self, row: int, *, beside: int | None = None) -> Shown:
        label = int(self.pool.labels[row])
        place = f"{self.names[row]} {self.pool.name(row)}"
        return Shown(_data_uri(self.pool.images[row]), self.classes[label], place, beside is None or label == beside)

    def suspect(self, row: int) -> Suspect:
        doubts = self.audit.doubts
        label = int(self.pool.labels[row])
        near = self.pool.neighbours[row, :SHOWN_NEIGHBOURS].tolist()
        return Suspect(
            image=self.shown(row),
            suggested=self.classes[int(doubts.suggested[row])],
            classifier=_percent(doubts.classifier[row]),
            agreement=_percent(doubts.agreement[row]),
            error=self._error(row),
            neighbours=[self.shown(other, beside=label) for other in near],
        )

    def pair(self, number: int) -> Pair:
        found = self.audit.duplicates
        first, second = int(found.first[number]), int(found.second[number])
        remarks = []
        if self.names[first] != self.names[second]:
            remarks.append(
                "in the test set too" if "test" in (self.names[first], self.names[second]) else "across splits"
            )
        if self.pool.labels[first] != self.pool.labels[second]:
            remarks.append("labels contradict")
        likeness = "same pixels" if found.exact[number] else f"{float(found.similarity[number]):.1%} alike"
        return Pair((self.shown(first), self.shown(second)), likeness, remarks)

    def strangers(self, model: Model, rows: Tensor) -> list[Stranger]:
        found = self.audit.outliers
        repainted: list[str | None] = [None] * len(rows)
        if isinstance(model, MultiTaskImageTransformer) and len(rows):
            painted = (reconstructions(model, self.pool.images[rows]).clamp(0, 1) * 255).round().byte()
            repainted = [_data_uri(image) for image in painted]
        return [
            Stranger(
                image=self.shown(row),
                repainted=picture,
                distance=f"{float(found.distance[row]):.3g}",
                uncertainty=f"{float(found.uncertainty[row]):.2f}",
                error=self._error(row),
            )
            for row, picture in zip(rows.tolist(), repainted, strict=True)
        ]

    def _error(self, row: int) -> str:
        return "" if self.pool.error is None else f"{float(self.pool.error[row]):.4f}"


def _data_uri(image: Tensor) -> str:
    sheet = sprite_sheet(thumbnails(image[None], longest=LONGEST))
    return f"data:{sheet.mime_type};base64,{b64encode(sheet.picture).decode()}"


def _percent(share: Tensor) -> str:
    value = float(share)
    return f"{value:.1%}" if value >= 0.001 else "0%"
