"""Real runs on the digits for the tests of the explorer, trained for seconds, and a cache of the tests' own."""

import gzip
import importlib.util
import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from triptych.config import load_config
from triptych.data.builder import load_dataset
from triptych.explorer import Explorer, explore
from triptych.training.train import train

GENERATOR = Path(__file__).parents[2] / "explorer" / "dev" / "payload.py"
"""Makes payloads without a model, for work on the page."""

AXE = Path(__file__).parent / "axe" / "axe.min.js"
"""Finds what shuts people out of a page."""

SETTINGS = ("training.epochs=8", "training.deterministic=false", "training.learning_rate=0.005")


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(cache_home: Path) -> Iterator[None]:
    """Maps, exported networks and decoded images go to a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache_home))
        yield


@pytest.fixture(scope="session")
def digits_run(quick_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The version folder of a run on the digits, eight epochs of six steps."""
    result = train(load_config(quick_yaml, SETTINGS), output=tmp_path_factory.mktemp("digits_run"))
    return result.folders.version_folder


@pytest.fixture(scope="session")
def other_run(quick_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with another seed, fewer epochs and a border around the images."""
    changes = ("training.epochs=2", "training.seed=5", "dataset.pad=2")
    result = train(load_config(quick_yaml, (*SETTINGS, *changes)), output=tmp_path_factory.mktemp("other_run"))
    return result.folders.version_folder


@pytest.fixture(scope="module")
def explorer(digits_run: Path) -> Explorer:
    """The test images of the run."""
    return explore(digits_run)


@pytest.fixture(scope="session")
def digit_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write digits as PNG files: `folder(count)` has a sub-folder for each class."""

    def write(count: int, *, classes: dict[str, str] | None = None) -> Path:
        folder = tmp_path_factory.mktemp("digit_files")
        data = load_dataset("digits").test
        for number in range(count):
            name = str(int(data.labels[number]))
            place = folder / (classes or {}).get(name, name)
            place.mkdir(exist_ok=True)
            Image.fromarray(data.images[number, 0].numpy()).save(place / f"{number}.png")
        return folder

    return write


@pytest.fixture(scope="session")
def blobs_of() -> Callable[[Path], dict[str, bytes]]:
    """Read the blobs of a static page, decompressed."""

    def read(path: Path) -> dict[str, bytes]:
        pattern = r'<script type="application/gzip\+base64" id="blob-([^"]+)">([^<]*)</script>'
        return {name: gzip.decompress(b64decode(text)) for name, text in re.findall(pattern, path.read_text())}

    return read


@pytest.fixture(scope="session")
def column_of() -> Callable[[dict[str, bytes], str], np.ndarray]:
    """Read a column of a static page's blobs, as its manifest describes it: levels become values, as on the page."""

    def read(blobs: dict[str, bytes], name: str) -> np.ndarray:
        manifest: dict[str, Any] = json.loads(blobs["manifest"])
        (found,) = [column for column in manifest["columns"] if column["name"] == name]
        stored = np.frombuffer(blobs[name], np.dtype(found["dtype"]).newbyteorder("<")).reshape(found["shape"])
        levels = found.get("levels")
        return stored if levels is None else np.array(levels["offset"]) + np.array(levels["scale"]) * stored

    return read


@pytest.fixture(scope="session")
def generator() -> ModuleType:
    """The program that makes payloads without a model."""
    if not GENERATOR.is_file():
        pytest.skip("the page's sources are not here")
    spec = importlib.util.spec_from_file_location("explorer_payload", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Seen:
    """A page that is open in a browser, what it asked the network for, and what it complained about."""

    def __init__(self, browser: Browser, url: str, *, is_offline: bool = False, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        self.context.set_offline(is_offline)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(120_000)  # milliseconds, for busy machines
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)
        self.page.wait_for_function("window.triptych?.ready", timeout=120_000)
        self.map = self.page.locator('[data-testid="map-0"] canvas[role=application]')

    def by(self, name: str) -> Locator:
        return self.page.get_by_test_id(name)

    def tab(self, name: str) -> None:
        self.by(f"tab-{name}").click()

    def pin(self, path: str) -> None:
        """Find an image by its path, and open it."""
        self.by("find").fill(path)
        self.page.locator(".find .results button").first.click()
        self.page.wait_for_selector('[data-testid="image-panel"]')
        self.by("find").fill("")

    def settle(self) -> None:
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def pixels(self, canvas: Locator) -> np.ndarray:
        """What a canvas shows, (H, W, 4)."""
        text = canvas.evaluate("canvas => canvas.toDataURL()")
        return np.asarray(Image.open(BytesIO(b64decode(text.split(",")[1]))).convert("RGBA"))

    def decoded(self, canvas: Locator) -> np.ndarray:
        """Wait until a canvas of decoded pixels is painted; return its grey levels, (H, W)."""
        canvas.wait_for()
        for _ in range(600):
            if (found := self.pixels(canvas))[..., 3].any():
                return found[..., 0]
            self.page.wait_for_timeout(100)
        raise AssertionError("nothing was painted")

    def choose_theme(self, theme: str) -> None:
        if self.page.locator("html").get_attribute("data-theme") != theme:
            self.by("theme").click()

    def serious(self) -> list[tuple[str, list[str]]]:
        """What axe finds on the page as it is now that is serious or critical."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        self.page.wait_for_timeout(300)
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)")
        return [
            (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def close(self) -> None:
        self.context.close()


@pytest.fixture(scope="session")
def see(browser: Browser) -> Iterator[Callable[..., Seen]]:
    """Open a page, by its address or its file."""
    opened: list[Seen] = []

    def open_page(place: str | Path, **options: Any) -> Seen:
        opened.append(Seen(browser, place.as_uri() if isinstance(place, Path) else place, **options))
        return opened[-1]

    yield open_page
    for one in opened:
        one.close()
