"""The explorer's built page: made from the sources that lie beside it, and the same bytes when it is built again."""

import gzip
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "explorer"
FILES = ("index.html", "package-lock.json", "package.json", "sources.ts", "tsconfig.json", "vite.config.ts")


def built(name: str) -> Path:
    """A file of the package, as users have it."""
    import triptych

    return Path(triptych.__file__).parent / "explorer" / "page" / name


def digest(sources: Path) -> str:
    """SHA-256 over `PATH NUL CONTENT NUL` of every source, sorted by path; `explorer/sources.ts` has the same rule."""
    paths = [*FILES, *(path.relative_to(sources).as_posix() for path in (sources / "src").rglob("*") if path.is_file())]
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(path.encode() + b"\0" + (sources / path).read_bytes() + b"\0")
    return whole.hexdigest()


@pytest.fixture(scope="module")
def page() -> str:
    return built("page.html").read_text(encoding="utf-8")


@pytest.mark.skipif(not SOURCES.is_dir(), reason="the page's sources are not here")
def test_the_page_is_what_its_sources_build(page: str) -> None:
    found = re.search(r'<meta name="sources" content="([0-9a-f]{64})">', page)
    assert found, "the page has the digest of its sources"
    assert found[1] == digest(SOURCES), "the page is older than its sources: run `npm ci && npm run build` in explorer/"


def test_the_page_asks_no_other_host_and_has_room_for_its_blobs(page: str) -> None:
    hosts = set(re.findall(r"""(?:src|href)=["']?(https?://[^"'\s>]+)""", page))
    assert hosts == set()
    assert page.count("</body>") == 1
    assert "<head>" in page
    assert "application/gzip+base64" not in page, "blobs are found by their id, so that the page itself names none"


def test_the_runtime_is_webassembly() -> None:
    assert gzip.decompress(built("ort.wasm.gz").read_bytes())[:4] == b"\0asm"


@pytest.mark.skipif(
    shutil.which("npm") is None or not (SOURCES / "node_modules").is_dir(), reason="needs npm and its packages"
)
def test_another_build_gives_the_same_bytes(tmp_path: Path, page: str) -> None:
    copy = tmp_path / "explorer"
    shutil.copytree(SOURCES, copy, symlinks=True, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (copy / "node_modules").symlink_to(SOURCES / "node_modules")
    done = subprocess.run(["npm", "run", "build"], cwd=copy, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    new = tmp_path / "triptych" / "explorer" / "page"
    assert (new / "page.html").read_text(encoding="utf-8") == page
    assert gzip.decompress((new / "ort.wasm.gz").read_bytes()) == gzip.decompress(built("ort.wasm.gz").read_bytes())
