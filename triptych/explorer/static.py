"""The explorer as one file: the page with all its blobs inside, which opens from the disk and needs no network."""

from base64 import b64encode
from pathlib import Path

from triptych.explorer.content.payload import Payload
from triptych.explorer.page import page_html, runtime
from triptych.files import replacing

RUNTIME_BLOB = "ort.wasm"
LARGE = 25 * 10**6
"""Bytes from which on a file is too large for most mail servers."""


def write_static(path: Path, payload: Payload) -> int:
    """Write the page atomically.

    Blobs lie before the end of the body, gzip-compressed and in base64: no name or label of the images is markup.

    Returns:
        The size of the file in bytes.
    """
    before, end, after = page_html().rpartition("</body>")
    assert end, "the page has a body"
    blobs = {"manifest": payload.manifest(live=False), **payload.blobs}
    if any(name.endswith(".onnx") for name in blobs):
        blobs[RUNTIME_BLOB] = runtime()
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(before)
        for name, content in blobs.items():
            file.write(f'<script type="application/gzip+base64" id="blob-{name}">')
            file.write(b64encode(content).decode("ascii"))
            file.write("</script>\n")
        file.write(end + after)
    return path.stat().st_size


def size_advice(size: int) -> str:
    """Return what to do about a file that is too large to be mailed; nothing where it is not.

    Example:
        >>> size_advice(4_000_000)
        ''
        >>> size_advice(40_000_000)
        'The page has 40.0 MB, and many mail servers take at most 25 MB. Choose a smaller split (--split), ...'
    """
    if size <= LARGE:
        return ""
    return (
        f"The page has {size / 1e6:.1f} MB, and many mail servers take at most {LARGE / 1e6:.0f} MB. Choose a smaller "
        "split (--split), or a folder with fewer images, or share the file by a link."
    )
