"""What the tests of figures share: reading the saved picture back, and finding text that leaves the paper."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from triptych.visualisation.style import save_figure


@pytest.fixture
def pixels_of(tmp_path: Path) -> Callable[[Figure], NDArray[np.uint8]]:
    """Save a figure as a run does and read it back as RGB pixels (H, W, 3)."""

    def read(figure: Figure) -> NDArray[np.uint8]:
        save_figure(figure, tmp_path / "figure.png")
        with Image.open(tmp_path / "figure.png") as picture:
            return np.asarray(picture.convert("RGB"))

    return read


@pytest.fixture
def clipped_texts() -> Callable[[Figure], list[str]]:
    """Find the visible texts of a figure, legends and axes included, that are not wholly on the paper."""

    def find(figure: Figure) -> list[str]:
        figure.canvas.draw()
        paper = figure.bbox
        found = []
        for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
            box = text.get_window_extent()
            inside = box.x0 >= paper.x0 and box.y0 >= paper.y0 and box.x1 <= paper.x1 and box.y1 <= paper.y1
            if text.get_text().strip() and text.get_visible() and not inside:
                found.append(text.get_text())
        return found

    return find
