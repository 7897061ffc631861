"""The page in a real browser, headless: what a person sees."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

CONTRASTS = """() => {
  const probe = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d");
  const rgba = colour => {
    probe.clearRect(0, 0, 1, 1); probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let one = element; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] > 200) return colour;
    }
    return rgba(getComputedStyle(document.body).backgroundColor);
  };
  return [...document.querySelectorAll("body *")]
    .filter(one => one.checkVisibility() && [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
    .map(one => {
      const [a, b] = [luminance(rgba(getComputedStyle(one).color)), luminance(ground(one))].sort((x, y) => y - x);
      return [one.tagName + "." + one.className + ": " + one.textContent.trim().slice(0, 40), (a + 0.05) / (b + 0.05)];
    });
}"""
"""The contrast of every text that is shown with what is behind it, as WCAG 2 defines it."""


class Seen:
    """A page that is open, its requests to the network, and its errors."""

    def __init__(self, browser: Browser, report: Path, **options: Any) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = browser.new_context(**options).new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(report.as_uri())
        self.settle()

    def settle(self) -> None:
        """Wait until everything is drawn."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.fixture(scope="module")
def seen(browser: Browser, report: Path) -> Iterator[Seen]:
    one = Seen(browser, report, viewport={"width": 1200, "height": 1000}, device_scale_factor=2)
    yield one
    one.page.context.close()


def test_the_page_makes_no_request_and_logs_no_error(seen: Seen, report: Path) -> None:
    assert [url for url in seen.requests if not url.startswith("data:")] == [report.as_uri()]
    assert seen.complaints == []


def test_every_picture_can_be_seen(seen: Seen) -> None:
    widths = seen.page.locator(".picture img").evaluate_all(
        "images => Promise.all(images.map(image => image.decode().then(() => image.naturalWidth)))"
    )

    assert len(widths) == 13
    assert min(widths) >= 1000


def test_a_name_that_looks_like_markup_is_shown_as_it_is(seen: Seen) -> None:
    assert "<script>alert(1)</script>" in seen.page.locator(".classes").inner_text()


def test_the_map_is_a_picture_with_a_link_to_the_interactive_one(seen: Seen) -> None:
    section = seen.page.locator("#embeddings")

    assert section.get_by_role("link").get_attribute("href") == "map.html"
    assert section.get_by_alt_text("Map of 100 embeddings of 10 classes.").is_visible()
    assert seen.page.locator("script").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_written_can_be_read(seen: Seen, scheme: Any) -> None:
    seen.page.emulate_media(color_scheme=scheme)
    seen.settle()
    contrasts: list[tuple[str, float]] = seen.page.evaluate(CONTRASTS)
    dark = seen.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    seen.page.emulate_media(color_scheme="light")

    assert len(contrasts) > 100
    assert {text: contrast for text, contrast in contrasts if contrast < 4.5} == {}
    assert (max(map(int, dark[4:-1].split(","))) < 60) == (scheme == "dark")


def test_a_phone_shows_it_without_scrolling_sideways(browser: Browser, report: Path) -> None:
    viewport = {"width": 390, "height": 844}
    phone = Seen(browser, report, viewport=viewport, device_scale_factor=2, has_touch=True, is_mobile=True)
    page = phone.page

    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    assert page.evaluate("() => innerWidth") == 390
    assert phone.complaints == []
    page.context.close()
