"""Downloads from a real HTTP server that also cuts connections, lies about lengths, hangs and sends wrong bytes."""

import hashlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import triptych
from triptych.data.known.download import ATTEMPTS, RemoteFile, download
from triptych.errors import DownloadError

CONTENT = np.random.default_rng(0).bytes(600_000)
OTHER = np.random.default_rng(1).bytes(600_000)
FILE = RemoteFile("data.gz", hashlib.md5(CONTENT).hexdigest())


@dataclass(frozen=True)
class Answer:
    """How the server behaves for one request."""

    content: bytes = CONTENT
    status: int = 200
    ranges: bool = True
    """Ranges are honoured."""
    cut: int | None = None
    """The connection is cut after so many bytes of the body."""
    lie: int | None = 0
    """Added to the announced length; None announces none."""
    hang: bool = False
    tag: str = '"1"'
    location: str = ""


class Mirror(ThreadingHTTPServer):
    """A server that gives the answers of a list in turn, the last again and again, and remembers the requests."""

    daemon_threads = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.ranges: list[str | None] = []
        self.conditions: list[str | None] = []
        self.sent = 0
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Mirror

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        mirror = self.server
        answer = mirror.answers[min(len(mirror.ranges), len(mirror.answers) - 1)]
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        mirror.ranges.append(wanted)
        mirror.conditions.append(condition)
        if answer.hang:
            mirror.closing.wait(30)
            return
        body, status, extra = answer.content, answer.status, {"ETag": answer.tag, "Location": answer.location}
        if wanted and answer.ranges and status == 200 and condition in (None, answer.tag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_error(416)
                return
            extra["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body, status = body[start:], 206
        self.send_response(status)
        if answer.lie is not None:
            extra["Content-Length"] = str(len(body) + answer.lie)
        for name, value in extra.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        body = body[: answer.cut]
        mirror.sent += len(body)
        with suppress(OSError):  # the client may have had enough
            self.wfile.write(body)


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
    return download(FILE, mirrors=urls, folder=folder, timeout=timeout)


def left_over(folder: Path) -> list[str]:
    """Name what lies in the folder beside the file itself and its lock."""
    return [path.name for path in folder.iterdir() if path.name not in (FILE.name, f".{FILE.name}.lock")]


def test_a_file_is_downloaded_under_its_name_and_nothing_else_is_left(mirror, tmp_path):
    server = mirror()
    path = fetch(tmp_path / "new" / "folder", server)
    assert path == tmp_path / "new" / "folder" / "data.gz"
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert left_over(path.parent) == []


def test_a_file_that_is_there_is_not_asked_for_again(mirror, tmp_path):
    server = mirror()
    (tmp_path / "data.gz").write_bytes(b"mine")
    assert fetch(tmp_path, server).read_bytes() == b"mine"
    assert server.ranges == []


def test_after_a_cut_connection_only_the_rest_is_asked_for(mirror, tmp_path):
    server = mirror(Answer(cut=250_000), Answer(cut=200_000), Answer())
    assert fetch(tmp_path, server).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=250000-", "bytes=450000-"]
    assert server.conditions == [None, '"1"', '"1"']
    assert server.sent == len(CONTENT)


def test_what_an_earlier_run_left_is_resumed(mirror, tmp_path):
    server = mirror()
    (tmp_path / "data.gz.part").write_bytes(CONTENT[:400_000])
    assert fetch(tmp_path, server).read_bytes() == CONTENT
    assert server.ranges == ["bytes=400000-"]
    assert server.sent == 200_000
    assert left_over(tmp_path) == []


def test_a_server_that_knows_no_ranges_is_read_from_the_start(mirror, tmp_path):
    server = mirror(Answer(cut=1000, ranges=False), Answer(ranges=False))
    assert fetch(tmp_path, server).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


def test_a_file_that_changed_between_two_requests_is_read_from_the_start(mirror, tmp_path):
    server = mirror(Answer(content=OTHER, cut=1000), Answer(tag='"2"'))
    assert fetch(tmp_path, server).read_bytes() == CONTENT
    assert server.conditions == [None, '"1"']
    assert server.ranges == [None, "bytes=1000-"]


def test_wrong_bytes_of_an_earlier_run_are_thrown_away_and_the_same_mirror_is_asked_once_more(mirror, tmp_path):
    server = mirror()
    (tmp_path / "data.gz.part").write_bytes(OTHER[:1000])
    assert fetch(tmp_path, server).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-", None]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(mirror, tmp_path):
    server = mirror()
    (tmp_path / "data.gz.part").write_bytes(CONTENT + b"more")
    assert fetch(tmp_path, server).read_bytes() == CONTENT
    assert server.ranges == ["bytes=600004-", None]


def test_a_part_that_is_whole_already_costs_no_bytes(mirror, tmp_path):
    server = mirror()
    (tmp_path / "data.gz.part").write_bytes(CONTENT)
    assert fetch(tmp_path, server).read_bytes() == CONTENT
    assert server.sent == 0


def test_a_length_that_promises_too_much_does_not_spoil_a_whole_file(mirror, tmp_path):
    assert fetch(tmp_path, mirror(Answer(lie=+5000))).read_bytes() == CONTENT


def test_a_server_that_announces_no_length_is_read_to_the_end(mirror, tmp_path):
    assert fetch(tmp_path, mirror(Answer(lie=None))).read_bytes() == CONTENT


def test_a_redirection_is_followed(mirror, tmp_path):
    home = mirror()
    assert fetch(tmp_path, mirror(Answer(status=302, location=f"{home.url}elsewhere"))).read_bytes() == CONTENT


def test_the_next_mirror_continues_where_one_was_given_up(mirror, tmp_path):
    first, second = mirror(Answer(cut=100_000)), mirror()
    assert fetch(tmp_path, first, second).read_bytes() == CONTENT
    assert len(first.ranges) == ATTEMPTS
    assert second.ranges == [f"bytes={ATTEMPTS * 100_000}-"]


def test_wrong_bytes_of_one_mirror_do_not_condemn_the_next(mirror, tmp_path):
    first, second = mirror(Answer(content=OTHER, cut=100_000), Answer(hang=True)), mirror()
    assert fetch(tmp_path, first, second, timeout=0.3).read_bytes() == CONTENT
    assert second.ranges == ["bytes=100000-", None]


FAULTS = {
    "not found": (Answer(status=404), "answered HTTP 404 Not Found"),
    "server error": (Answer(status=500), "answered HTTP 500"),
    "other bytes": (Answer(content=OTHER), f"sent a file of another checksum .MD5 {hashlib.md5(OTHER).hexdigest()}"),
    "a web page": (Answer(content=b"\n<!DOCTYPE html><p>Sign in"), "sent a web page of another checksum"),
    "nothing": (Answer(content=b""), "sent a file of another checksum"),
    "short": (Answer(lie=-1000), "sent a file of another checksum"),
    "always cut": (Answer(cut=9, ranges=False), "cut the connection after 9 bytes of 600,000"),
    "cut in silence": (Answer(cut=0), "cut the connection after 0 bytes of 600,000"),
    "silent": (Answer(hang=True), "could not be reached .*timed out"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mirror_that_fails_gives_way_to_the_next(mirror, tmp_path, fault):
    answer, _ = FAULTS[fault]
    assert fetch(tmp_path, mirror(answer), mirror(), timeout=0.3 if answer.hang else 20).read_bytes() == CONTENT
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_the_error_tells_why_a_mirror_failed(mirror, tmp_path, fault):
    answer, words = FAULTS[fault]
    server = mirror(answer)
    with pytest.raises(DownloadError, match=rf"{server.url}data\.gz: {words}"):
        fetch(tmp_path, server, timeout=0.3 if answer.hang else 20)
    assert not (tmp_path / "data.gz").exists()


def test_when_every_mirror_fails_one_error_tells_the_reason_of_each(mirror, tmp_path):
    servers = [mirror(Answer(status=404)), mirror(Answer(content=OTHER))]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        with pytest.raises(DownloadError, match=r"data\.gz: none of 3 mirrors gave the file\.") as caught:
            fetch(tmp_path, *servers, closed)
    reasons = str(caught.value).splitlines()[1:]
    for reason, url, words in zip(
        reasons, (*(server.url for server in servers), closed), ("404", "checksum", "refused"), strict=True
    ):
        assert reason.startswith(f"  {url}data.gz: ")
        assert words in reason


@pytest.mark.parametrize(("reset", "words"), [(False, "fell silent for 0.3 seconds"), (True, "timed out")])
def test_what_came_before_a_server_fell_silent_or_reset_the_connection_is_kept(tmp_path, reset, words):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        released = threading.Event()

        def speak() -> None:
            connection, _ = listening.accept()
            connection.recv(9999)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 600000\r\n\r\n" + CONTENT[:777])
            if not reset or not arrived():
                released.wait(30)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        def arrived() -> bool:
            """Wait until the client has written what came: a reset throws away what it has not read."""
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                if part.exists() and part.stat().st_size:
                    return True
                time.sleep(0.01)
            return False

        part = tmp_path / "data.gz.part"
        threading.Thread(target=speak, daemon=True).start()
        with pytest.raises(DownloadError, match=words):
            fetch(tmp_path, f"http://127.0.0.1:{listening.getsockname()[1]}/", timeout=0.3)
        released.set()
    assert part.read_bytes() == CONTENT[:777]


def test_threads_that_want_the_same_file_download_it_once(mirror, tmp_path):
    server = mirror()
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(tmp_path, server), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert server.ranges == [None]
    assert left_over(tmp_path) == []


def test_processes_that_want_the_same_file_download_it_once(mirror, tmp_path):
    server = mirror()
    program = (
        "import sys, pathlib; from triptych.data.known.download import RemoteFile, download; "
        "download(RemoteFile('data.gz', sys.argv[1]), mirrors=[sys.argv[2]], folder=pathlib.Path(sys.argv[3]))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(triptych.__file__).parents[1])}
    command = [sys.executable, "-c", program, FILE.md5, server.url, str(tmp_path)]
    processes = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "data.gz").read_bytes() == CONTENT
    assert server.ranges == [None]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_said_to_be_full_and_the_other_mirrors_are_left_alone(mirror, tmp_path):
    first, second = mirror(), mirror()
    (tmp_path / "data.gz.part").symlink_to("/dev/full")
    with pytest.raises(
        DownloadError, match=r"data\.gz: cannot be written \(No space left on device\).*[Ff]ree some space"
    ):
        fetch(tmp_path, first, second)
    assert second.ranges == []


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


def test_on_a_terminal_a_bar_shows_how_much_has_arrived(mirror, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    fetch(tmp_path, mirror())
    assert "600.0/600.0 kB" in capsys.readouterr().err
