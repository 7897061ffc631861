"""A real service in a second process, without PyTorch; and a small one here, whose model waits on request."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import triptych
from triptych.artefacts.loading import load

ROOT = Path(triptych.__file__).parents[1]
PROGRAM = (
    "import sys\n"
    "sys.modules['torch'] = sys.modules['lightning'] = None\n"  # every import of them fails
    "from triptych.cli.main import main\n"
    "main()\n"
)
SECONDS = 60


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, str]:
        return self.json["error"]


class RunningService:
    """The command `triptych serve` in a process of its own."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        self.log = folder / "log.jsonl"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "serve", *arguments, "--port", "0"],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self.process.stdout.readline()
        assert line.startswith("Serving "), line + self.log.read_text()
        self.url = next(word.rstrip(";") for word in line.split() if word.startswith("http://"))
        self.address = self.url.removeprefix("http://")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=SECONDS)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any, kind: str = "application/octet-stream", **headers: str) -> Answer:
        return self.ask("POST", path, body, Content_Type=kind, **headers)

    def post_json(self, path: str, content: Any, **headers: str) -> Answer:
        return self.post(path, json.dumps(content), "application/json", **headers)

    def logged(self, **fields: Any) -> dict[str, Any]:
        """Wait for a line of the log with these values."""
        for _ in range(SECONDS * 20):
            for line in self.log.read_text().splitlines():
                record = json.loads(line)
                if fields.items() <= record.items():
                    return record
            time.sleep(0.05)
        raise AssertionError(f"{fields} is not in {self.log.read_text()}")


StartService = Callable[..., RunningService]


@pytest.fixture(scope="module")
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartService]:
    """Start `triptych serve ARGUMENTS` at a free port."""
    started: list[RunningService] = []

    def start(*arguments: str | Path, environment: dict[str, str] | None = None) -> RunningService:
        folder = tmp_path_factory.mktemp("service")
        started.append(RunningService(folder, tuple(map(str, arguments)), environment or {}))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.fixture(scope="session")
def bundle(coloured_bundle: Path) -> Path:
    return coloured_bundle


@pytest.fixture(scope="session")
def index(bundle: Path, coloured_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of its embeddings of 24 photos."""
    from triptych.search.images import build_index

    folder = tmp_path_factory.mktemp("search") / "photos.index"
    build_index(load(bundle, engine="onnx"), coloured_photos / "photos", folder)[0].close()
    return folder


@pytest.fixture(scope="session")
def photos(coloured_photos: Path) -> list[Path]:
    return sorted((coloured_photos / "photos").rglob("*.png"))


class WaitingEngine:
    """Computes what another engine does, as soon as it is allowed to; and fails for a black image."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.device, self.embedding_dim, self.latent_dim = engine.device, engine.embedding_dim, engine.latent_dim
        self.allowed = threading.Event()
        self.allowed.set()
        self.sizes: list[int] = []

    def encode(self, pixels: Any) -> Any:
        assert self.allowed.wait(SECONDS)
        self.sizes.append(len(pixels))
        if not pixels.reshape(len(pixels), -1).any(1).all():
            raise RuntimeError("a black image")
        return self._engine.encode(pixels)

    def decode(self, latents: Any) -> Any:
        return self._engine.decode(latents)


@pytest.fixture
def waiting_model(bundle: Path) -> Any:
    """A model and its engine, of the class above."""
    model = load(bundle, engine="onnx")
    model._engine = WaitingEngine(model._engine)
    return model
