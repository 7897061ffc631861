"""What the tests of figures share: reading pictures back, and finding text that crosses an edge or other text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from triptych.visualisation.paper.style import save_figure


def written(figure: Figure) -> list[Text]:
    """Find all that is written on a drawn figure, legends and the numbers of axes included."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            beyond = (tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high)
            hidden |= {id(label) for tick in beyond for label in (tick.label1, tick.label2)}
    return [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and id(text) not in hidden
    ]


@pytest.fixture
def pixels_of(tmp_path: Path) -> Callable[[Figure], NDArray[np.uint8]]:
    """Save a figure as a run does and read it back as RGB pixels (H, W, 3)."""

    def read(figure: Figure) -> NDArray[np.uint8]:
        save_figure(figure, tmp_path / "figure.png")
        with Image.open(tmp_path / "figure.png") as picture:
            return np.asarray(picture.convert("RGB"))

    return read


@pytest.fixture
def drawn_pixels() -> Callable[[Figure], NDArray[np.uint8]]:
    """Draw a figure without a file, which is quicker: RGB pixels (H, W, 3)."""

    def draw(figure: Figure) -> NDArray[np.uint8]:
        figure.canvas.draw()
        return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()

    return draw


@pytest.fixture
def texts_of() -> Callable[[Figure], list[str]]:
    """List what is written on a figure."""

    def read(figure: Figure) -> list[str]:
        figure.draw_without_rendering()
        return [text.get_text() for text in written(figure)]

    return read


@pytest.fixture
def clipped_texts() -> Callable[[Figure], list[str]]:
    """Find what is written on a figure and not wholly on the paper."""

    def find(figure: Figure) -> list[str]:
        figure.draw_without_rendering()
        paper = figure.bbox
        found = []
        for text in written(figure):
            box = text.get_window_extent()
            inside = box.x0 >= paper.x0 and box.y0 >= paper.y0 and box.x1 <= paper.x1 and box.y1 <= paper.y1
            if not inside:
                found.append(text.get_text())
        return found

    return find


@pytest.fixture
def overlapping_texts() -> Callable[[Figure], list[tuple[str, str]]]:
    """Find pairs of texts on a figure that lie on one another by more than two pixels."""

    def find(figure: Figure) -> list[tuple[str, str]]:
        figure.draw_without_rendering()
        texts = written(figure)
        boxes = [text.get_window_extent() for text in texts]
        pairs = []
        for i, first in enumerate(boxes):
            for j, second in enumerate(boxes[:i]):
                across = min(first.x1, second.x1) - max(first.x0, second.x0)
                down = min(first.y1, second.y1) - max(first.y0, second.y0)
                if across > 2 and down > 2:
                    pairs.append((texts[j].get_text(), texts[i].get_text()))
        return pairs

    return find
