"""The paper of a report's figures: one width, a head that takes the room it needs, places in pixels."""

from collections.abc import Callable

import numpy as np
import pytest

from triptych.visualisation.paper.sheet import MARGIN, WIDTH, open_sheet
from triptych.visualisation.paper.style import house_style


@pytest.mark.parametrize(("title", "subtitle"), [("A title", "more of it"), ("A title", ""), ("", "alone"), ("", "")])
def test_content_of_any_head_has_its_room_and_the_paper_its_width(
    title: str, subtitle: str, drawn_pixels: Callable
) -> None:
    with house_style():
        sheet = open_sheet(300, title=title, subtitle=subtitle)
        sheet.fill(MARGIN, 0, WIDTH - 2 * MARGIN, 300, "#ff0000")
    picture = drawn_pixels(sheet.figure)
    red = (picture == (255, 0, 0)).all(axis=-1)

    assert picture.shape[:2] == (sheet.height, WIDTH) == (sheet.top + 300 + MARGIN, WIDTH)
    assert red[sheet.top : sheet.top + 300, MARGIN:-MARGIN].all()
    assert red.sum() == 300 * (WIDTH - 2 * MARGIN)
    assert (picture[: sheet.top] != 255).any() == bool(title or subtitle)


def test_lines_of_the_head_stand_below_one_another_and_an_empty_one_takes_no_room(overlapping_texts: Callable) -> None:
    with house_style():
        heads = {
            texts: open_sheet(10, title=texts[0], subtitle=texts[1]) for texts in (("a", "b"), ("a", ""), ("", ""))
        }

    assert [sheet.top for sheet in heads.values()] == sorted({sheet.top for sheet in heads.values()}, reverse=True)
    assert overlapping_texts(heads["a", "b"].figure) == []


def test_a_chart_and_a_text_lie_where_they_were_put(drawn_pixels: Callable) -> None:
    with house_style():
        sheet = open_sheet(400, title="A title", subtitle="")
        axes = sheet.panel(300, 100, 500, 200)
        text = sheet.write(1000, 150, "written", size=7, baseline="bottom")
    drawn_pixels(sheet.figure)
    frame, box = axes.get_window_extent(), text.get_window_extent()

    assert np.allclose((frame.x0, frame.width, frame.height), (300, 500, 200))
    assert sheet.height - frame.y1 == pytest.approx(sheet.top + 100)
    assert box.x0 == pytest.approx(1000, abs=2)
    assert sheet.height - box.y0 == pytest.approx(sheet.top + 150, abs=2)


def test_words_that_look_like_mathematics_are_written_and_long_ones_shortened(clipped_texts: Callable) -> None:
    with house_style():
        sheet = open_sheet(100, title="$\\nonsense{$ _ " * 40, subtitle="long " * 100)
        text = sheet.write(0, 50, "$_{ a name that is far too long", width=200)

    assert clipped_texts(sheet.figure) == []
    assert text.get_window_extent().width <= 200
    assert text.get_text().startswith("$_{ a")
