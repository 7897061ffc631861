"""Layout of the figure of a confusion matrix: positions, sizes of cells and fonts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triptych.visualisation.paper.names import shortened
from triptych.visualisation.paper.sheet import MARGIN, ROOM, Sheet
from triptych.visualisation.paper.style import DOTS_PER_INCH, OTHER_CLASS, QUIET_INK, SAME_CLASS, blend, new_figure

# In pixels of the saved picture.
AXIS = 54
"""Room left of the matrix and above it for the words "true class" and "predicted class"."""
BESIDE_NAME = 22
"""Room between a name and the matrix."""
_NAMES = 330
_RECALL = 120
_LARGEST_CELL = 150
_GAP = 60

_BESIDE = 30
"""Maximum number of classes with the key next to the matrix; for more it is below, and the matrix is wider."""
_NAMED = 110
"""Maximum number of classes with names."""
_PIXELS = DOTS_PER_INCH / 72
"""Pixels of a point of type."""


@dataclass(frozen=True)
class ConfusionLayout:
    """The places and sizes on one picture, in pixels from where its content begins, and points of type.

    Attributes:
        count: Classes.
        cell: Side of a cell.
        name_size: Type of the names.
        name_width: Room for the names, 0 where they are left out.
        count_size: Type of the counts that fits all of them into their cells.
    """

    count: int
    cell: float
    name_size: float
    name_width: int
    count_size: float

    @classmethod
    def of(cls, table: NDArray[np.float64], classes: Sequence[str]) -> "ConfusionLayout":
        """Find room for counts (K, K) and the names of their classes."""
        count = len(table)
        width = ROOM - AXIS - _RECALL - (KEY_WIDTH + _GAP if count <= _BESIDE else 0)
        # Lines of type as high as a cell, were the names of middling length.
        name_size = min(7.0, (width - _NAMES / 2) / count / 1.1 / _PIXELS)
        name_width = round(min(_NAMES, _widest(classes, name_size) + BESIDE_NAME)) if count <= _NAMED else 0
        cell = min(_LARGEST_CELL, (width - name_width) / count)
        digits = len(f"{table.max():,.0f}")
        count_size = min(7.0, 0.84 * cell / (0.64 * digits * _PIXELS))
        return cls(count, float(int(cell)) if count <= _NAMED else cell, name_size, name_width, count_size)

    @property
    def is_named(self) -> bool:
        """Whether there is room for names."""
        return self.count <= _NAMED

    @property
    def is_upright(self) -> bool:
        """Whether the names of the columns are turned, being wider than a cell."""
        return self.name_width > self.cell

    @property
    def corner(self) -> tuple[float, float]:
        """The upper left corner of the matrix."""
        return MARGIN + AXIS + self.name_width, AXIS + (self.name_width if self.is_upright else 44)

    @property
    def side(self) -> float:
        """Width and height of the matrix."""
        return self.count * self.cell

    @property
    def recall(self) -> float:
        """Where the column of recalls ends."""
        return self.corner[0] + self.side + _RECALL

    @property
    def key(self) -> tuple[float, float]:
        """The upper left corner of the key."""
        x, y = self.corner
        return (self.recall + _GAP, y) if self.count <= _BESIDE else (x, y + self.side + _GAP)

    @property
    def errors(self) -> tuple[float, float, float]:
        """Return where the list of errors begins, and how wide it may be: below the key or beside it."""
        x, y = self.key
        if self.count <= _BESIDE:
            return x, y + KEY_HEIGHT, KEY_WIDTH
        return x + KEY_WIDTH + 2 * _GAP, y, 2 * KEY_WIDTH

    @property
    def height(self) -> float:
        """The height of the whole sheet."""
        return max(self.corner[1] + self.side, self.errors[1] + ERRORS_HEIGHT)


def _widest(names: Sequence[str], size: float) -> float:
    """Measure the widest of some names, in pixels."""
    paper = new_figure(1, 1)
    return max(paper.text(0, 0, name, size=size, parse_math=False).get_window_extent().width for name in names)


_LINE = 46
_MISTAKES = 6

# In pixels of the saved picture.
KEY_WIDTH = 440
KEY_HEIGHT = 250
_LETTER = 17
"""Width of a letter of middling width."""
ERRORS_HEIGHT = 40 + _MISTAKES * _LINE

_SHARES = (0.01, 0.05, 0.25, 0.5, 1.0)


def draw_key(sheet: Sheet, x: float, y: float) -> None:
    """Show which colour is which share of a row, right and wrong, from a place on."""
    step = 64
    sheet.write(x, y + 22, "Share of a true class", weight="bold")
    for line, (word, colour) in enumerate((("right", SAME_CLASS), ("wrong", OTHER_CLASS))):
        top = y + 50 + 50 * line
        for place, share in enumerate(_SHARES):
            sheet.fill(x + place * step, top, step - 4, 46, blend(colour, share**0.5))
        sheet.write(x + len(_SHARES) * step + 10, top + 33, word, colour=colour, weight="bold")
    for place, share in enumerate(_SHARES):
        sheet.write(x + (place + 0.5) * step - 2, y + 186, f"{share:.0%}", size=5.5, colour=QUIET_INK, align="center")


def write_errors(
    sheet: Sheet, counts: NDArray[np.float64], classes: Sequence[str], *, x: float, y: float, width: float
) -> None:
    """List the largest of the counts (K, K) off the diagonal, with the names of their row and column."""
    wrong = counts * (1 - np.eye(len(counts)))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES].tolist()
    worst = [place for place in (divmod(number, len(counts)) for number in order) if wrong[place]]
    letters = int((width - 90) / _LETTER) - len(" as ")
    sheet.write(x, y + 22, "Most frequent errors" if worst else "No errors", weight="bold")
    for line, (row, column) in enumerate(worst, start=1):
        bottom = y + 26 + line * _LINE
        names = (classes[row], classes[column])
        true, taken_for = (
            shortened(name, to=max(letters // 2, letters - len(other))) for name, other in (names, names[::-1])
        )
        sheet.write(x, bottom, f"{true} as {taken_for}", width=width - 90)
        number = f"{wrong[row, column]:,.0f}"
        sheet.write(x + width, bottom, number, colour=OTHER_CLASS, weight="bold", align="right")
