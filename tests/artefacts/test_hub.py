"""Bundles on the Hugging Face Hub, against a small server that speaks as much of its API as is used."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

import triptych
from triptych.errors import CheckpointError, DataError

ROOT = Path(triptych.__file__).parents[1]
COMMIT = "c" * 40
TOKEN = "a-token"


class Hub(BaseHTTPRequestHandler):
    """Repositories in memory: name -> path -> content. A push needs the token."""

    repositories: dict[str, dict[str, bytes]] = {}
    requested: list[str] = []

    def do_HEAD(self) -> None:
        self._get()

    def do_GET(self) -> None:
        self._get()

    def _get(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.requested.append(f"{self.command} {path}")
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and "/".join(parts[2:4]) in self.repositories:
            files = self.repositories["/".join(parts[2:4])]
            if parts[4:5] == ["tree"]:
                listed = [self._entry(name, content) for name, content in files.items()]
                return self._answer(listed)
            return self._answer(
                {"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            )
        if len(parts) > 4 and parts[2] == "resolve":
            content = self.repositories.get("/".join(parts[:2]), {}).get("/".join(parts[4:]))
            if content is not None:
                etag = hashlib.sha256(content).hexdigest()
                return self._answer(content, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})
        return self._answer({"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}, code=404)

    @staticmethod
    def _entry(name: str, content: bytes) -> dict:
        return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.requested.append(f"POST {path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer({"error": "Invalid username or password."}, code=401)
        if path == "/api/repos/create":
            requested = json.loads(body)
            name = (
                f"{requested['organization']}/{requested['name']}"
                if requested.get("organization")
                else requested["name"]
            )
            self.repositories.setdefault(name, {})
            return self._answer({"url": f"http://{self.headers['Host']}/{name}"})
        if path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            return self._answer(
                {"files": [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files]}
            )
        if "/commit/" in path:
            name = "/".join(path.split("/")[3:5])
            for line in body.decode().splitlines():
                value = json.loads(line)
                if value["key"] == "file":
                    self.repositories[name][value["value"]["path"]] = base64.b64decode(value["value"]["content"])
            url = f"http://{self.headers['Host']}/{name}/commit/{COMMIT}"
            return self._answer({"success": True, "commitOid": COMMIT, "commitUrl": url})
        return self._answer({}, code=200)

    def _answer(self, content, headers=None, *, code: int = 200) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


PROGRAM = """
import sys
sys.modules["torch"] = None  # a bundle needs none
import numpy, triptych
from triptych.errors import CheckpointError, DataError

bundle, pictures, out = sys.argv[1:]
model = triptych.load(bundle)
print(model.push("someone/photos"))
loaded = triptych.load("hf:someone/photos")
assert loaded.fingerprint == model.fingerprint
numpy.save(out, loaded.embed(pictures).vectors)
triptych.load("hf:someone/photos@main")
for place in ("hf:someone/nothing", "hf:other/kind", "hf:not-a-name", "hf:a/b/c"):
    try:
        triptych.load(place)
    except CheckpointError as error:
        print(error)
import os
os.environ["HF_TOKEN"] = "wrong"
import huggingface_hub
huggingface_hub.constants.HF_TOKEN = "wrong"
for name in ("someone/else", "no-user"):
    try:
        model.push(name)
    except DataError as error:
        print(error)
"""


def test_a_model_is_pushed_and_loaded_by_its_name(hub, photos_model, photos_bundle, pictures, tmp_path):
    Hub.repositories["other/kind"] = {"config.json": b"{}", "weights.bin": b"x"}
    environment = {
        **{key: value for key, value in os.environ.items() if "proxy" not in key.lower()},
        **{"HF_ENDPOINT": hub, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"},
        **{"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
    }
    given = [str(photos_bundle), str(pictures), str(tmp_path / "found.npy")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *given],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env=environment,
    )

    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), photos_model.embed(pictures).vectors, atol=1e-4)
    pushed = Hub.repositories["someone/photos"]
    assert pushed == {path.name: path.read_bytes() for path in photos_bundle.iterdir()}
    url, missing, other_kind, *rest = done.stdout.splitlines()
    assert url == f"{hub}/someone/photos/commit/{COMMIT}"
    assert "hf:someone/nothing: expected a bundle on the Hugging Face Hub, but it cannot be downloaded" in missing
    assert "hf:other/kind: expected a bundle, with config.json and encoder.onnx" in other_kind
    assert not any(
        "weights.bin" in requested for requested in Hub.requested
    )  # nothing but a bundle's files is downloaded
    assert [line.partition(":")[2].partition(".")[0].strip() for line in rest[:2]] == [
        f"{name}: expected hf:user/name, or hf:user/name@revision" for name in ("not-a-name", "a/b/c")
    ]
    assert "did not take the bundle" in rest[2]
    assert "expected the name of a repository as user/name" in rest[3]


@pytest.mark.parametrize(
    "place", ["hf:../..", "hf:u/..", "hf:u/a..b", "hf:u/name@../../x", "hf:u/name@a..b", "hf:u/name@/x", "hf:.u/name"]
)
def test_no_name_leads_out_of_the_cache(place):
    with pytest.raises(CheckpointError, match=r"expected hf:user/name, or hf:user/name@revision"):
        triptych.load(place)
    with pytest.raises(DataError, match="expected the name of a repository as user/name"):
        triptych.load("digits", engine="onnx").push(place)
