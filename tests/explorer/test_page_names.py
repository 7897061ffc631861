"""Classes on the page: long and hostile names can be told apart, and colours are those of the figures."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from triptych.visualisation.paper.style import class_colours

COUNT = 150
START = "Northern hemisphere, alpine meadow, species "
LONG = [f"{START}{number:02d}" for number in range(50)]
HOSTILE = [
    "<b onclick=alert(1)>bold</b>",
    "\u05d7\u05ea\u05d5\u05dc \u05d2\u05d3\u05d5\u05dc \u05de\u05d0\u05d5\u05d3 \u05de\u05d0\u05d5\u05d3",
    "a\u202eevil",
    "=1+1",
    "x" * 4000,
]


def described(blobs: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    """Change the manifest."""
    return {**blobs, "manifest": json.dumps({**json.loads(blobs["manifest"]), **changes}).encode()}


def with_classes(blobs: dict[str, bytes], names: list[str]) -> dict[str, bytes]:
    """Give the images other classes, in turn, and leave out what depends on their number."""
    manifest = json.loads(blobs["manifest"])
    left = [column for column in manifest["columns"] if column["name"] != "probabilities"]
    turn = (np.arange(COUNT) % len(names)).astype("<i4")
    given = {name: turn.tobytes() for name in ("label", "suggestion")}
    given["prediction"] = turn[::-1].tobytes()
    model = {**manifest["model"], "classes": names}
    return described(blobs | given, columns=left, model=model, colours=class_colours(len(names)))


@pytest.fixture(scope="module")
def plain(generator: ModuleType) -> dict[str, bytes]:
    made: dict[str, bytes] = generator.payload(
        COUNT, None, None, places=np.random.default_rng(3).normal(size=(COUNT, 2))
    )
    return made


@pytest.fixture
def opened(generator: ModuleType, see: Callable, tmp_path: Path) -> Callable[[dict[str, bytes]], Any]:
    def open_page(blobs: dict[str, bytes]) -> Any:
        path = tmp_path / "page.html"
        path.write_text(generator.page_with(blobs), encoding="utf-8")
        return see(path, is_offline=True)

    return open_page


def legend_colours(seen: Any) -> list[str]:
    shown = seen.by("legend").locator("i").evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
    levels = [[int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")] for colour in shown]
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in levels]


def contrast(colour: str, ground: str) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(text: str) -> float:
        levels = np.array([int(text[place : place + 2], 16) for place in (1, 3, 5)]) / 255
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    first, second = sorted((luminance(colour), luminance(ground)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def test_fifty_classes_that_begin_alike_can_be_told_apart(plain: dict[str, bytes], opened: Callable) -> None:
    seen = opened(with_classes(plain, LONG))

    colours = legend_colours(seen)
    tails = seen.by("legend").locator(".tail")
    boxes = [tail.bounding_box() for tail in tails.all()]
    panel = seen.by("legend").bounding_box()
    seen.tab("labels")
    frequent = seen.page.locator(".plain .tail").all_inner_texts()

    assert colours == class_colours(50)
    assert len(set(tails.all_inner_texts())) == 50
    assert all(panel["x"] < box["x"] and box["x"] + box["width"] < panel["x"] + panel["width"] for box in boxes)
    assert len(frequent) > 2
    assert all(text[-2:].isdecimal() for text in frequent)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 1280
    assert seen.complaints == []


def test_hostile_names_are_text_in_their_place(plain: dict[str, bytes], opened: Callable) -> None:
    paths = [f"{HOSTILE[number % 5][:200]}/{number}.png" for number in range(COUNT)]
    seen = opened({**with_classes(plain, HOSTILE), "paths": json.dumps(paths).encode()})

    for tab in ("image", "labels"):
        if tab == "image":
            seen.pin("/7.png")
        seen.tab(tab)
        assert seen.page.evaluate("document.documentElement.scrollWidth") == 1280
        assert seen.page.evaluate(
            "document.querySelector('#panel').scrollWidth <= document.querySelector('#panel').clientWidth"
        )
    assert seen.page.locator("#app b[onclick]").count() == 0
    assert seen.by("legend").get_by_text(HOSTILE[0]).count() == 1
    assert seen.complaints == []


def test_points_have_the_colours_of_the_figures(plain: dict[str, bytes], opened: Callable) -> None:
    seen = opened(plain)

    seen.page.evaluate(
        "document.documentElement.dataset.theme === 'dark' && document.querySelector('[data-testid=theme]').click()"
    )
    assert legend_colours(seen) == class_colours(10)
    seen.by("theme").click()
    seen.settle()

    assert all(contrast(colour, "#10161d") >= 3 for colour in legend_colours(seen))


def test_two_runs_with_their_classes_in_another_order_agree(plain: dict[str, bytes], opened: Callable) -> None:
    manifest = json.loads(plain["manifest"])
    names = [*reversed(manifest["model"]["classes"]), "eleventh"]
    predicted = np.frombuffer(plain["prediction"], "<i4")
    columns = [column for column in manifest["columns"] if column["name"] in ("prediction", "embedding", "pca", "tsne")]
    second = {f"other/{column['name']}": plain[column["name"]] for column in columns}
    theirs = (9 - predicted).astype("<i4")
    theirs[0] = 10  # a class that the first run does not have
    blobs = described(
        plain | second | {"other/prediction": theirs.tobytes()},
        other={**manifest["model"], "classes": names, "name": "digits-2"},
        columns=[*manifest["columns"], *({**column, "name": f"other/{column['name']}"} for column in columns)],
        colours=class_colours(11),
    )
    seen = opened(blobs)
    seen.tab("runs")
    changed = seen.by("runs-panel").locator(".plain .number").all_inner_texts()
    seen.by("colour-by").select_option("prediction")

    assert sum(map(int, changed)) == 1
    assert legend_colours(seen) == class_colours(11)
    seen.pin("test/0")
    assert "eleventh" in seen.by("image-panel").inner_text()
    assert seen.complaints == []
