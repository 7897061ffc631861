"""The static page in Firefox: it opens from its file, paints the map, and shows an image with its reconstruction.

Playwright drives only a Firefox that it has changed; this one is the system's, driven by its own protocol, Marionette.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest

from triptych.explorer import Explorer

WAIT = 120.0
"""Seconds for a busy machine to start, or to answer."""


def firefox() -> str | None:
    """Where the Firefox of this system is; None where there is none."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """A browser with a profile of its own, in the folder `place`; it ends with the `with` block.

    A message is `LENGTH:[0, number, command, parameters]`, its answer `LENGTH:[1, number, error, result]`.
    """

    def __init__(self, program: str, place: Path, *, width: int = 1280, height: int = 900) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {"marionette.port": port, "browser.shell.checkDefaultBrowser": False, "app.update.enabled": False}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in settings.items()]
        (place / "user.js").write_text("".join(lines))
        # Without the sandbox of containers, which runs as root.
        own = {"HOME": str(place), "MOZ_HEADLESS": "1", "MOZ_DISABLE_CONTENT_SANDBOX": "1"}
        environment = {**os.environ, **own}
        arguments = [
            "--headless",
            "--marionette",
            "--remote-allow-system-access",
            "--no-remote",
            "--profile",
            str(place),
        ]
        size = [f"--width={width}", f"--height={height}"]
        self._log = (place / "log").open("wb")
        command = [program, *arguments, *size]
        self._process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)
        self._number = 0
        try:
            self._socket = self._connected(port)
            self._read()  # it introduces itself
            self.send("WebDriver:NewSession", strictFileInteractability=False)
            self.send("WebDriver:SetTimeouts", pageLoad=WAIT * 1000, script=WAIT * 1000, implicit=0)
        except BaseException:
            self._process.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, RuntimeError):
            self.send("Marionette:Quit", flags=["eForceQuit"])
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._socket.close()
        self._log.close()

    def _connected(self, port: int) -> socket.socket:
        end = time.monotonic() + WAIT
        while True:
            with suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", port), timeout=WAIT)
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError("Firefox did not start")
            time.sleep(0.1)

    def _read(self) -> Any:
        length = b""
        while (byte := self._socket.recv(1)) != b":":
            if not byte:
                raise RuntimeError("Firefox has ended")
            length += byte
        content = b""
        while len(content) < int(length):
            content += self._socket.recv(int(length) - len(content))
        return json.loads(content)

    def send(self, command: str, **parameters: Any) -> Any:
        """Send a command, and return its result."""
        self._number += 1
        message = json.dumps([0, self._number, command, parameters])
        self._socket.sendall(f"{len(message.encode())}:{message}".encode())
        _, _, error, result = self._read()
        if error:
            raise RuntimeError(f"{command}: {error['error']}: {error['message']}")
        return result

    def open(self, path: Path) -> None:
        """Open a file, and wait until it is loaded."""
        self.send("WebDriver:Navigate", url=path.as_uri())

    def run(self, script: str) -> Any:
        """Run the body of an async function on the page, and return its result."""
        act = f"(async () => {{{script}}})()"
        body = f"const done = arguments[0]; {act}.then(done, error => done(String(error)));"
        return self.send("WebDriver:ExecuteAsyncScript", script=body, args=[])["value"]

    def click(self, x: float, y: float) -> None:
        """Click a place of the page, in CSS pixels."""
        steps: list[dict[str, Any]] = [
            {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self.send("WebDriver:PerformActions", actions=[{"type": "pointer", "id": "mouse", "actions": steps}])

    def complaints(self, address: str) -> list[str]:
        """Return the warnings and errors of the browser's console about a page."""
        self.send("Marionette:SetContext", value="chrome")
        script = (
            "return Services.console.getMessageArray().filter(one => one instanceof Ci.nsIScriptError)"
            ".map(one => [one.sourceName, one.errorMessage])"
        )
        found = self.send("WebDriver:ExecuteScript", script=script, args=[])["value"]
        self.send("Marionette:SetContext", value="content")
        return [message for source, message in found if source.startswith((address, "blob:"))]


pytestmark = pytest.mark.skipif(firefox() is None, reason="needs Firefox: tests/browser.sh installs it")

MAP = "[data-testid='map-0'] canvas"
IMAGE = "[data-testid=image-panel] canvas"
RECONSTRUCTION = "[aria-label='Reconstruction of the image']"

LEVELS = """
const canvas = document.querySelector(PLACE);
const size = canvas ? [canvas.width, canvas.height] : [0, 0];
const values = canvas && size[0] ? canvas.getContext("2d").getImageData(0, 0, ...size).data : [];
return [new Set(values).size, ...size];
"""
"""How many different levels the pixels of a canvas have, its width and its height."""


@pytest.fixture(scope="module")
def page_file(explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("static") / "page.html"
    explorer.save(path)
    return path


@pytest.fixture(scope="module")
def window(page_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    program = firefox()
    assert program is not None
    with Firefox(program, tmp_path_factory.mktemp("profile")) as opened:
        opened.open(page_file)
        yield opened


def drawn(window: Firefox, place: str) -> list[int]:
    """Wait until a canvas is drawn; return the number of its levels, its width and its height."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        found: list[int] = window.run(LEVELS.replace("PLACE", json.dumps(place)))
        if found[0] > 5:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{place} was not drawn")


def test_a_click_on_the_map_shows_image_and_reconstruction(
    window: Firefox, explorer: Explorer, page_file: Path
) -> None:
    assert drawn(window, MAP)[0] > 20
    x, y, width, height = window.run(
        f"const box = document.querySelector({json.dumps(MAP)}).getBoundingClientRect();"
        "return [box.x, box.y, box.width, box.height];"
    )
    # The map lies centred and upright, 28 pixels from the frame.
    points = explorer.payload.column("tsne").astype(float) * [1, -1]
    low, high = points.min(0), points.max(0)
    scale = (min(width, height) / 2 - 28) / ((high - low).max() / 2)
    right, down = (points[17] - (low + high) / 2) * scale

    window.click(x + width / 2 + right, y + height / 2 + down)

    assert drawn(window, IMAGE)[1:] != [0, 0]
    assert drawn(window, RECONSTRUCTION)[1:] == [8, 8]
    shown = window.run("return document.querySelector('[data-testid=image-panel]').dataset.point;")
    assert (abs(points[int(shown)] - points[17]) * scale < 40).all()
    assert window.complaints(page_file.as_uri()) == []
