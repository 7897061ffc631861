"""The server: blobs and pictures for the page, corrections from it, and nothing for foreign pages."""

import gzip
import http.client
import json
import sys
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import triptych
from triptych.errors import DataError
from triptych.explorer import Explorer, explore
from triptych.explorer.server import ExplorerServer


@pytest.fixture(scope="module")
def server(explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExplorerServer]:
    one = explorer.serve(corrections=tmp_path_factory.mktemp("served") / "corrections.csv")
    yield one
    one.close()


Answer = SimpleNamespace


@pytest.fixture
def ask(server: ExplorerServer) -> Callable[..., Answer]:
    def request(method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        answer = SimpleNamespace(status=response.status, content=response.read(), headers=dict(response.headers))
        connection.close()
        return answer

    return request


def test_the_page_has_the_token(ask: Callable, server: ExplorerServer) -> None:
    answer = ask("GET", "/")

    assert answer.status == 200
    assert f'<meta name="token" content="{server.token}">' in answer.content.decode()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"


def test_blobs_are_those_of_the_payload(ask: Callable, explorer: Explorer, column_of: Callable) -> None:
    blobs = {"manifest": gzip.decompress(ask("GET", "/blob/manifest").content)}
    manifest = json.loads(blobs["manifest"])

    assert manifest["live"]
    for column in manifest["columns"]:
        answer = ask("GET", f"/blob/{column['name']}")
        assert answer.status == 200
        blobs[column["name"]] = gzip.decompress(answer.content)
        values = column_of(blobs, column["name"])
        np.testing.assert_array_equal(values, explorer.payload.column(column["name"]))
    assert gzip.decompress(ask("GET", "/blob/ort.wasm").content).startswith(b"\0asm")


def test_the_map_by_tsne_comes_later(digits_run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slow = explore(digits_run, split="val")
    slow.payload.blobs.pop("tsne", None)
    may_go_on, entered = threading.Event(), threading.Event()

    def wait(embeddings: np.ndarray) -> np.ndarray:
        entered.set()
        assert may_go_on.wait(60)
        return embeddings[:, :2].astype(np.float32)

    monkeypatch.setattr(sys.modules["triptych.explorer.explore"], "neighbour_map", wait)
    server = slow.serve(corrections=tmp_path / "corrections.csv")
    assert entered.wait(60)

    def status() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("GET", "/blob/tsne")
        return connection.getresponse().status

    assert status() == 202
    assert "tsne" not in gzip.decompress(slow.payload.manifest(live=True)).decode()
    may_go_on.set()
    server.finish_maps()
    assert status() == 200
    server.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1", 200), ("attacker.example", 421), ("127.0.0.1.attacker.example", 421)],
)
def test_other_hosts_are_refused(ask: Callable, server: ExplorerServer, host: str, status: int) -> None:
    assert ask("GET", "/", Host=f"{host}:{server.port}").status == status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_Triptych_Token": "wrong"},
        {"X_Triptych_Token": "TOKEN", "Origin": "http://attacker.example"},
        {"X_Triptych_Token": "TOKEN", "Origin": "null"},
    ],
)
def test_foreign_pages_save_nothing(ask: Callable, server: ExplorerServer, headers: dict[str, str]) -> None:
    headers = {name: value.replace("TOKEN", server.token) for name, value in headers.items()}

    answer = ask("POST", "/corrections", b"split,index,label\ntest,1,3\n", **headers)

    assert answer.status == 403
    assert not server.corrections.path.exists()


def test_corrections_are_saved_at_every_step(ask: Callable, server: ExplorerServer) -> None:
    own = {"X_Triptych_Token": server.token, "Origin": f"http://127.0.0.1:{server.port}"}

    first = ask("POST", "/corrections", b"split,index,label\ntest,1,3\ntest,2,\n", **own)
    assert json.loads(first.content) == {"saved": str(server.corrections.path), "rows": 2}
    assert server.corrections.path.read_text() == "split,index,label\ntest,1,3\ntest,2,\n"
    second = ask("POST", "/corrections", b"split,index,label\ntest,2,\n", **own)
    assert json.loads(second.content)["rows"] == 1
    assert ask("GET", "/corrections").content.decode().splitlines() == ["split,index,label", "test,2,"]
    bad = ask("POST", "/corrections", b"split,index,label\ntest,2,eleven\n", **own)
    assert bad.status == 400
    assert "got eleven" in json.loads(bad.content)["error"]
    assert ask("POST", "/corrections", b"\xff\xfe", **own).status == 400
    assert server.corrections.path.read_text() == "split,index,label\ntest,2,\n"
    server.corrections.path.unlink()


def test_a_second_page_is_told_that_corrections_have_changed(ask: Callable, server: ExplorerServer) -> None:
    own = {"X_Triptych_Token": server.token}
    known = ask("GET", "/corrections").headers["ETag"]

    first = ask("POST", "/corrections", b"split,index,label\ntest,1,3\n", **own, If_Match=known)
    second = ask("POST", "/corrections", b"split,index,label\ntest,2,4\n", **own, If_Match=known)

    assert (first.status, second.status) == (200, 409)
    assert server.corrections.path.read_text() == "split,index,label\ntest,1,3\n"
    both = b"split,index,label\ntest,1,3\ntest,2,4\n"
    assert ask("POST", "/corrections", both, **own, If_Match=first.headers["ETag"]).status == 200
    ask("POST", "/corrections", b"split,index,label\n", **own)
    server.corrections.path.unlink()


def test_a_new_image_is_embedded_as_by_the_model(ask: Callable, server: ExplorerServer, digits_run: Path) -> None:
    model = triptych.load(digits_run)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    written = BytesIO()
    Image.fromarray(pixels).save(written, "PNG")

    answer = ask("POST", "/embed", written.getvalue(), X_Triptych_Token=server.token)

    found = json.loads(answer.content)
    np.testing.assert_allclose(found["embedding"], model.embed(pixels).vectors[0], atol=1e-5)
    np.testing.assert_allclose(found["latent"], model.encode(pixels)[0], atol=1e-5)
    np.testing.assert_allclose(found["probabilities"], model.classify(pixels).probabilities[0], atol=1e-5)
    assert ask("POST", "/embed", b"no image", X_Triptych_Token=server.token).status == 400


def test_pictures_are_the_images(ask: Callable, explorer: Explorer) -> None:
    answer = ask("GET", "/image/5")

    assert answer.headers["Content-Type"] == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(answer.content))), explorer.collection.images[5][0])


@pytest.mark.parametrize(
    "path",
    ["/image/360", "/image/-1", "/image/x", "/image/" + "9" * 30, "/blob/../../etc/passwd", "/blob/nothing", "/etc",
     "/image/%2e%2e", "/page.html"],
)  # fmt: skip
def test_there_is_nothing_else(ask: Callable, path: str) -> None:
    assert ask("GET", path).status == 404


def test_a_body_has_a_length_and_a_limit(ask: Callable, server: ExplorerServer) -> None:
    own = {"X_Triptych_Token": server.token}

    assert ask("POST", "/embed", None, Content_Length=str(2**40), **own).status == 413
    assert ask("POST", "/embed", None, Content_Length="x", **own).status == 411
    assert ask("POST", "/other", b"", **own).status == 404


def test_a_port_in_use_is_named(explorer: Explorer, server: ExplorerServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"port {server.port} cannot be used"):
        explorer.serve(port=server.port, corrections=tmp_path / "corrections.csv")


def test_files_are_shown_as_they_are(coloured_photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (1600, 400), (250, 10, 10)).save(folder / "a.jpg")
    shown = explore(coloured_photos / "best.ckpt", folder)
    from triptych.explorer.content.pictures import Pictures

    pictures = Pictures(shown.collection, shown.view.model)
    content, kind = pictures.original(0)
    (folder / "a.jpg").unlink()
    small, of_pixels = pictures.original(0)

    assert (kind, Image.open(BytesIO(content)).size) == ("image/jpeg", (1024, 256))
    assert (of_pixels, Image.open(BytesIO(small)).size) == ("image/png", (16, 16))
