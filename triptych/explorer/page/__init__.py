"""The built page: `npm run build` in `explorer/`, at the root of the repository, writes it into this folder."""

from importlib.resources import files

PAGE, RUNTIME = "page.html", "ort.wasm.gz"


def page_html() -> str:
    """Return the page without any data."""
    return files(__name__).joinpath(PAGE).read_text(encoding="utf-8")


def runtime() -> bytes:
    """Return the WebAssembly of onnxruntime-web, compressed by gzip."""
    return files(__name__).joinpath(RUNTIME).read_bytes()
