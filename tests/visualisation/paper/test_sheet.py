"""The paper of a report's figures: one width, places in pixels."""

from collections.abc import Callable

import numpy as np
import pytest

from triptych.visualisation.paper.sheet import MARGIN, WIDTH, open_sheet
from triptych.visualisation.paper.style import house_style


def test_content_has_its_room_and_the_paper_its_width(drawn_pixels: Callable) -> None:
    with house_style():
        sheet = open_sheet(300)
        sheet.fill(MARGIN, 0, WIDTH - 2 * MARGIN, 300, "#ff0000")
    picture = drawn_pixels(sheet.figure)
    red = (picture == (255, 0, 0)).all(axis=-1)

    assert picture.shape[:2] == (sheet.height, WIDTH) == (300 + 2 * MARGIN, WIDTH)
    assert red[MARGIN:-MARGIN, MARGIN:-MARGIN].all()
    assert red.sum() == 300 * (WIDTH - 2 * MARGIN)


def test_a_chart_and_a_text_lie_where_they_were_put(drawn_pixels: Callable) -> None:
    with house_style():
        sheet = open_sheet(400)
        axes = sheet.panel(300, 100, 500, 200)
        text = sheet.write(1000, 150, "written", size=7, baseline="bottom")
    drawn_pixels(sheet.figure)
    frame, box = axes.get_window_extent(), text.get_window_extent()

    assert np.allclose((frame.x0, frame.width, frame.height), (300, 500, 200))
    assert sheet.height - frame.y1 == pytest.approx(MARGIN + 100)
    assert box.x0 == pytest.approx(1000, abs=2)
    assert sheet.height - box.y0 == pytest.approx(MARGIN + 150, abs=2)


def test_words_that_look_like_mathematics_are_written_and_long_ones_shortened(clipped_texts: Callable) -> None:
    with house_style():
        sheet = open_sheet(100)
        text = sheet.write(0, 50, "$_{ a name that is far too long", width=200)

    assert clipped_texts(sheet.figure) == []
    assert text.get_window_extent().width <= 200
    assert text.get_text().startswith("$_{ a")
