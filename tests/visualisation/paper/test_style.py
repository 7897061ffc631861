"""The house style: distinguishable colours, settings that do not leak, files that are whole."""

import itertools
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from triptych.visualisation.paper.style import (
    DOTS_PER_INCH,
    OTHER_CLASS,
    SAME_CLASS,
    class_colours,
    figure_png,
    fit_text,
    house_style,
    missing_characters,
    new_figure,
    save_figure,
)

# Machado, Oliveira and Fernandes 2009, full severity, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def oklab(colours: list[str], vision: str) -> np.ndarray:
    """Ottosson's OKLab (2020) of colours as a kind of colour vision sees them."""
    encoded = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(VISION[vision]).T, 0, 1)
    cones = np.array([[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]])
    axes = np.array([[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]])
    return np.cbrt(seen @ cones.T) @ axes.T


def closest(colours: list[str], vision: str) -> float:
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(oklab(colours, vision), 2))


@pytest.mark.parametrize("vision", VISION)
def test_ten_classes_are_distinguishable_with_every_kind_of_colour_vision(vision: str) -> None:
    # 0.02 is about the just noticeable difference; Matplotlib's own ten come down to 0.007.
    assert closest(class_colours(10), vision) > 0.06


@pytest.mark.parametrize("vision", VISION)
def test_the_frames_of_same_and_other_class_are_distinguishable(vision: str) -> None:
    assert closest([SAME_CLASS, OTHER_CLASS], vision) > 0.15


@pytest.mark.parametrize("count", [2, 10, 11, 12, 13, 37, 50, 100])
def test_every_class_has_a_colour_of_its_own_that_shows_on_white(count: int) -> None:
    colours = class_colours(count)

    assert len(set(colours)) == len(colours) == count
    assert closest(colours, "normal") > 0.01
    assert all(np.linalg.norm(colour - oklab(["#ffffff"], "normal")) > 0.12 for colour in oklab(colours, "normal"))


def test_neighbouring_class_numbers_differ_clearly_among_a_hundred() -> None:
    colours = class_colours(100)

    assert min(closest([a, b], "normal") for a, b in itertools.pairwise(colours)) > 0.1


def test_a_saved_figure_has_the_requested_pixels(tmp_path: Path) -> None:
    for width, height in ((1968, 1636), (1001, 333), (7, 3)):
        save_figure(new_figure(width, height), tmp_path / "figure.png")
        with Image.open(tmp_path / "figure.png") as picture:
            assert (picture.format, picture.size) == ("PNG", (width, height))
            assert picture.info["dpi"] == pytest.approx((DOTS_PER_INCH, DOTS_PER_INCH), abs=0.1)


def test_the_same_picture_is_the_same_bytes_without_date_or_software(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        figure = new_figure(300, 200)
        figure.text(0.1, 0.5, "the same")
        save_figure(figure, tmp_path / name)

    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as picture:
        assert set(picture.info) <= {"dpi"}


def test_a_picture_of_few_colours_and_one_of_many_are_kept_exactly() -> None:
    for colours in (9, 5000):
        drawn = np.random.default_rng(0).integers(0, 255, size=(colours, 3)).astype(np.uint8)
        figure = new_figure(100, 50)
        figure.figimage(drawn[np.arange(5000) % colours].reshape(50, 100, 3), origin="upper")
        with Image.open(BytesIO(figure_png(figure))) as picture:
            assert np.array_equal(
                np.asarray(picture.convert("RGB")), drawn[np.arange(5000) % colours].reshape(50, 100, 3)
            )


def test_saving_makes_the_folder_and_only_the_picture(tmp_path: Path) -> None:
    save_figure(new_figure(30, 20), tmp_path / "a" / "b" / "figure.png")

    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["figure.png"]


def test_a_picture_that_cannot_be_drawn_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    save_figure(new_figure(30, 20), path)
    before = path.read_bytes()
    invalid = new_figure(300, 200)
    invalid.text(0.1, 0.5, "$\\nonsense{$")

    with pytest.raises(ValueError, match="nonsense"):
        save_figure(invalid, path)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_users_matplotlib_settings_neither_change_the_picture_nor_are_changed(tmp_path: Path) -> None:
    def picture(name: str) -> bytes:
        with house_style():
            figure = new_figure(300, 200)
            figure.text(0.1, 0.5, "the same")
        save_figure(figure, tmp_path / name)
        return (tmp_path / name).read_bytes()

    plain = picture("plain.png")
    theirs = {"font.family": ["DejaVu Serif"], "font.size": 20.0, "savefig.bbox": "tight", "figure.facecolor": "black"}
    with matplotlib.rc_context(theirs):
        assert picture("theirs.png") == plain
        assert {key: matplotlib.rcParams[key] for key in theirs} == theirs


def test_drawing_needs_neither_pyplot_nor_an_import_of_matplotlib_beforehand() -> None:
    code = (
        "import sys, torch, triptych.visualisation as v\n"
        "assert 'matplotlib' not in sys.modules and 'sklearn' not in sys.modules\n"
        "x, y = torch.rand(1, 1, 4, 4), torch.zeros(1, dtype=torch.long)\n"
        "v.triplet_figure(x, x, x, y, y, classes=('a',), title='')\n"
        "v.embedding_figure(torch.rand(9, 2), torch.zeros(9).long(), classes=('a',), title='', subtitle='')\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_text_is_shortened_only_as_far_as_it_must_be() -> None:
    figure = new_figure(600, 100)
    short, long = figure.text(0, 0, "cat"), figure.text(0, 0.5, "a name much too long for the paper that it is on")
    fit_text(short, 300)
    fit_text(long, 300)

    assert short.get_text() == "cat"
    assert long.get_text().endswith("…")
    assert 260 < long.get_window_extent().width <= 300


def test_no_two_of_ten_classes_are_grey() -> None:
    greys = [
        colour
        for colour in class_colours(10)
        if np.ptp([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) < 24
    ]

    assert len(greys) <= 1


def test_characters_without_a_font_are_found_and_drawn_without_warnings(recwarn: pytest.WarningsRecorder) -> None:
    rare = "\U00013000"

    with house_style():
        figure = new_figure(200, 100)
        figure.text(0.1, 0.1, f"class {rare}")
        figure_png(figure)

    assert missing_characters(["Käse", "naïve œuvre", "\t"]) == ""
    assert missing_characters([f"a{rare}", rare]) == rare
    assert not [one for one in recwarn if "Glyph" in str(one.message)]
