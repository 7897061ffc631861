"""What stands beside a confusion matrix: what its colours mean, and its most frequent mistakes in words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from triptych.visualisation.names import shortened
from triptych.visualisation.sheet import Sheet
from triptych.visualisation.style import OTHER_CLASS, QUIET_INK, SAME_CLASS, blend

_LINE = 46
_MISTAKES = 6

# In pixels of the saved picture.
KEY_WIDTH = 440
KEY_HEIGHT = 250
_LETTER = 17
"""Width of a letter of middling width."""
MISTAKES_HEIGHT = 40 + _MISTAKES * _LINE

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


def write_mistakes(
    sheet: Sheet, counts: NDArray[np.float64], classes: Sequence[str], *, x: float, y: float, width: float
) -> None:
    """List the largest of the counts (K, K) off the diagonal, with the names of their row and column."""
    wrong = counts * (1 - np.eye(len(counts)))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MISTAKES].tolist()
    worst = [place for place in (divmod(number, len(counts)) for number in order) if wrong[place]]
    letters = int((width - 90) / _LETTER) - len(" as ")
    sheet.write(x, y + 22, "Most frequent mistakes" if worst else "No mistakes", weight="bold")
    for line, (row, column) in enumerate(worst, start=1):
        bottom = y + 26 + line * _LINE
        names = (classes[row], classes[column])
        true, taken_for = (
            shortened(name, to=max(letters // 2, letters - len(other))) for name, other in (names, names[::-1])
        )
        sheet.write(x, bottom, f"{true} as {taken_for}", width=width - 90)
        number = f"{wrong[row, column]:,.0f}"
        sheet.write(x + width, bottom, number, colour=OTHER_CLASS, weight="bold", align="right")
