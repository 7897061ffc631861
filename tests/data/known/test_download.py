"""Downloads from a real HTTP server that also cuts connections, hangs and sends wrong bytes."""

import errno
import hashlib
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

import triptych
from triptych.data.known.download import download
from triptych.errors import DownloadError

CONTENT = np.random.default_rng(0).bytes(600_000)
OTHER = np.random.default_rng(1).bytes(600_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@dataclass(frozen=True)
class Answer:
    """How the server behaves for one request."""

    content: bytes = CONTENT
    status: int = 200
    cut: int | None = None
    """The connection is cut after so many bytes of the body."""
    has_length: bool = True
    """The length is announced."""
    hang: bool = False
    location: str = ""


class Mirror(ThreadingHTTPServer):
    """A server that gives the answers of a list in turn, the last again and again, and remembers the requests."""

    daemon_threads = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.requests = 0
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Mirror

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        mirror = self.server
        answer = mirror.answers[min(mirror.requests, len(mirror.answers) - 1)]
        mirror.requests += 1
        if answer.hang:
            mirror.closing.wait(30)
            return
        self.send_response(answer.status)
        if answer.has_length:
            self.send_header("Content-Length", str(len(answer.content)))
        if answer.location:
            self.send_header("Location", answer.location)
        self.end_headers()
        with suppress(OSError):  # the client may have had enough
            self.wfile.write(answer.content[: answer.cut])


@pytest.fixture
def mirror():
    """Start mirrors and stop them at the end."""
    started: list[Mirror] = []

    def start(*answers: Answer) -> Mirror:
        server = Mirror(*(answers or (Answer(),)))
        started.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return server

    yield start
    for server in started:
        server.closing.set()
        server.shutdown()
        server.server_close()


def fetch(folder: Path, *mirrors: Mirror | str, timeout: float = 20.0) -> Path:
    urls = [server if isinstance(server, str) else server.url for server in mirrors]
    return download("data.gz", md5=MD5, mirrors=urls, folder=folder, timeout=timeout)


def left_over(folder: Path) -> list[str]:
    """Name what lies in the folder beside the file itself and its lock."""
    return [path.name for path in folder.iterdir() if path.name not in ("data.gz", ".data.gz.lock")]


def test_a_file_is_downloaded_under_its_name_and_nothing_else_is_left(mirror, tmp_path):
    server = mirror()
    path = fetch(tmp_path / "new" / "folder", server)
    assert path == tmp_path / "new" / "folder" / "data.gz"
    assert path.read_bytes() == CONTENT
    assert server.requests == 1
    assert left_over(path.parent) == []


def test_a_file_that_is_there_is_not_requested_again(mirror, tmp_path):
    server = mirror()
    (tmp_path / "data.gz").write_bytes(b"mine")
    assert fetch(tmp_path, server).read_bytes() == b"mine"
    assert server.requests == 0


def test_a_server_that_announces_no_length_is_read_to_the_end(mirror, tmp_path):
    assert fetch(tmp_path, mirror(Answer(has_length=False))).read_bytes() == CONTENT


def test_a_redirection_is_followed(mirror, tmp_path):
    home = mirror()
    assert fetch(tmp_path, mirror(Answer(status=302, location=f"{home.url}elsewhere"))).read_bytes() == CONTENT


FAULTS = {
    "not found": (Answer(status=404), "Not Found"),
    "server error": (Answer(status=500), "Internal Server Error"),
    "other bytes": (Answer(content=OTHER), f"sent a file of another checksum .MD5 {hashlib.md5(OTHER).hexdigest()}"),
    "a web page": (Answer(content=b"\n<!DOCTYPE html><p>Sign in"), "sent a web page of another checksum"),
    "nothing": (Answer(content=b""), "sent a file of another checksum"),
    "cut off": (Answer(cut=1000), "sent a file of another checksum"),
    "silent": (Answer(hang=True), "timed out"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mirror_that_fails_gives_way_to_the_next(mirror, tmp_path, fault):
    answer, _ = FAULTS[fault]
    assert fetch(tmp_path, mirror(answer), mirror(), timeout=0.3 if answer.hang else 20).read_bytes() == CONTENT
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_the_error_explains_why_a_mirror_failed(mirror, tmp_path, fault):
    answer, words = FAULTS[fault]
    server = mirror(answer)
    with pytest.raises(DownloadError, match=rf"{server.url}data\.gz: {words}"):
        fetch(tmp_path, server, timeout=0.3 if answer.hang else 20)
    assert not (tmp_path / "data.gz").exists()


def test_when_every_mirror_fails_one_error_gives_the_reason_of_each(mirror, tmp_path):
    servers = [mirror(Answer(status=404)), mirror(Answer(content=OTHER))]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(DownloadError, match=r"data\.gz: none of 3 mirrors gave the file\.") as caught:
            fetch(tmp_path, *servers, closed)
    reasons = str(caught.value).splitlines()[1:]
    for reason, url, words in zip(
        reasons, (*(server.url for server in servers), closed), ("Not Found", "checksum", "refused"), strict=True
    ):
        assert reason.startswith(f"  {url}data.gz: ")
        assert words in reason


def test_threads_that_want_the_same_file_download_it_once(mirror, tmp_path):
    server = mirror()
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(tmp_path, server), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert server.requests == 1
    assert left_over(tmp_path) == []


def test_processes_that_want_the_same_file_download_it_once(mirror, tmp_path):
    server = mirror()
    program = (
        "import sys, pathlib; from triptych.data.known.download import download; "
        "download('data.gz', md5=sys.argv[1], mirrors=[sys.argv[2]], folder=pathlib.Path(sys.argv[3]))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(triptych.__file__).parents[1])}
    command = [sys.executable, "-c", program, MD5, server.url, str(tmp_path)]
    processes = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "data.gz").read_bytes() == CONTENT
    assert server.requests == 1


def test_a_full_disk_is_reported_and_the_other_mirrors_are_not_tried(mirror, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch.hub, "download_url_to_file", full)
    with pytest.raises(
        DownloadError, match=r"data\.gz: cannot be written \(No space left on device\).*[Ff]ree some space"
    ):
        fetch(tmp_path, mirror(), mirror())
    assert left_over(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(mirror, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"file/data\.gz: cannot be written \((Not a directory|File exists)\)"):
        fetch(tmp_path / "file", mirror())


def test_where_no_terminal_is_one_line_is_printed_and_no_bar(mirror, tmp_path, capsys):
    server = mirror()
    fetch(tmp_path, server)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"Downloading {server.url}data.gz\n"
