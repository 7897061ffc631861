"""The explorer's server: it serves blobs, saves corrections, and embeds images that the page cannot embed."""

import json
import secrets
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from triptych.errors import DataError, TriptychError
from triptych.explorer.content.payload import Payload, compressed
from triptych.explorer.content.pictures import Pictures
from triptych.explorer.corrections import ChangedElsewhereError, CorrectionsFile
from triptych.explorer.page import page_html, runtime
from triptych.explorer.static import RUNTIME_BLOB
from triptych.explorer.tokens import HEADER, allowed_hosts, with_token

LOOPBACK = "127.0.0.1"
LARGEST = 64 * 2**20
"""Maximum size of a request's body in bytes."""
EMBED = ("/embed", "/embed/other")
"""Where images go that the first model embeds, or the second one."""
PENDING = ("tsne", "other/tsne")
"""Columns that come later."""

BINARY, JSON, CSV = "application/octet-stream", "application/json", "text/csv; charset=utf-8"


class ExplorerServer:
    """Serves one page on this machine's loopback address, from its own threads.

    Requests with another Host are rejected, so that no foreign name can lead here (DNS rebinding), and a POST needs the
    token that only the page has, so that no foreign page can change corrections.

    Args:
        payload: The blobs.
        corrections: The file that the page's corrections go to.
        pictures: The original images, and what a model computes of a new one.
        port: Where to listen; 0 chooses a free port.
        lay_out: Adds the maps that take their time to the payload; a thread calls it.

    Attributes:
        url: Where the page is.
        token: The token of the page.
    """

    def __init__(
        self,
        payload: Payload,
        corrections: CorrectionsFile,
        pictures: Pictures,
        *,
        port: int = 0,
        lay_out: Callable[[], None] = lambda: None,
    ) -> None:
        self.payload, self.corrections, self.pictures = payload, corrections, pictures
        self.token = secrets.token_urlsafe(24)
        self.saving = threading.Lock()
        try:
            self._server = ThreadingHTTPServer((LOOPBACK, port), partial(_Handler, self))
        except (OSError, OverflowError) as error:
            raise DataError(
                f"Expected a free port, but port {port} cannot be used ({error}). Choose another one by --port."
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.hosts = allowed_hosts(self.port)
        self.url = f"http://{LOOPBACK}:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, name="explorer", daemon=True)
        self._thread.start()
        self._laying_out = threading.Thread(target=self._lay_out, args=(lay_out,), name="maps", daemon=True)
        self._laying_out.start()

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        while self._thread.is_alive():
            self._thread.join(1.0)

    def finish_maps(self) -> None:
        """Wait until the maps are computed."""
        self._laying_out.join()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _lay_out(self, lay_out: Callable[[], None]) -> None:
        try:
            lay_out()
        except BaseException:
            self.payload.failed = True
            raise


class _Refusal(Exception):  # noqa: N818 # it is an answer
    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "triptych", ""
    timeout = 60

    def __init__(self, explorer: ExplorerServer, *arguments: object) -> None:
        self.explorer = explorer
        super().__init__(*arguments)  # type: ignore[arg-type] # as the server calls it

    def do_GET(self) -> None:  # as the library calls it
        """Answer with the page, a blob, a picture or the corrections."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Save corrections, or embed an image."""
        self._answer(self._post)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _answer(self, act: Callable[[str], None]) -> None:
        try:
            if (self.headers.get("Host") or "").lower() not in self.explorer.hosts:
                raise _Refusal(HTTPStatus.MISDIRECTED_REQUEST, f"Expected a request to {self.explorer.url}.")
            act(unquote(urlsplit(self.path).path))
        except _Refusal as refusal:
            self.close_connection = True
            self._send(json.dumps({"error": str(refusal)}).encode(), JSON, status=refusal.status)
        except ChangedElsewhereError as error:
            self._send(json.dumps({"error": str(error)}).encode(), JSON, status=HTTPStatus.CONFLICT)
        except TriptychError as error:
            self._send(json.dumps({"error": str(error)}).encode(), JSON, status=HTTPStatus.BAD_REQUEST)
        except (BrokenPipeError, ConnectionResetError):  # the page was closed
            self.close_connection = True

    def _get(self, path: str) -> None:
        explorer = self.explorer
        if path == "/":
            self._send(with_token(page_html(), explorer.token).encode(), "text/html; charset=utf-8")
        elif path.startswith("/blob/"):
            self._blob(path.removeprefix("/blob/"))
        elif path == "/corrections":
            with explorer.saving:
                text, revision = explorer.corrections.text(), explorer.corrections.revision
            self._send(text.encode(), CSV, revision=revision)
        elif path.startswith("/image/"):
            self._send(*explorer.pictures.original(self._row(path.removeprefix("/image/"))))
        else:
            raise _Refusal(HTTPStatus.NOT_FOUND, f"Expected a part of the page, got {path!r}.")

    def _blob(self, name: str) -> None:
        blobs = self.explorer.payload.blobs
        if name == "manifest":
            self._send(self.explorer.payload.manifest(live=True), BINARY)
        elif name == RUNTIME_BLOB:
            self._send(runtime(), BINARY)
        elif name in blobs:
            self._send(blobs[name], BINARY)
        elif name in PENDING and name.removesuffix("tsne") + "pca" in blobs and not self.explorer.payload.failed:
            self._send(compressed(b""), BINARY, status=HTTPStatus.ACCEPTED)  # it is being computed
        else:
            raise _Refusal(HTTPStatus.NOT_FOUND, f"There is no blob {name!r}.")

    def _row(self, text: str) -> int:
        count = len(self.explorer.pictures.collection)
        if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text) < count):
            raise _Refusal(HTTPStatus.NOT_FOUND, f"Expected an image from 0 to {count - 1}, got {text!r}.")
        return int(text)

    def _post(self, path: str) -> None:
        if path not in ("/corrections", *EMBED):
            raise _Refusal(HTTPStatus.NOT_FOUND, f"Expected corrections or an image to embed, got {path!r}.")
        origin = self.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc.lower() not in self.explorer.hosts:
            raise _Refusal(HTTPStatus.FORBIDDEN, "Expected a request of the explorer's own page.")
        if not secrets.compare_digest((self.headers.get(HEADER) or "").encode(), self.explorer.token.encode()):
            raise _Refusal(HTTPStatus.FORBIDDEN, "Expected the token of this page. Reload the page.")
        body = self._body()
        if path in EMBED:
            found = self.explorer.pictures.embed(body, by_other=path != EMBED[0])
            self._send(json.dumps(found).encode(), JSON)
            return
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"Expected corrections as CSV in UTF-8, got other bytes ({error}).") from error
        corrections = self.explorer.corrections
        known = self.headers.get("If-Match")
        with self.explorer.saving:
            rows = corrections.save(text, revision=None if known is None else known.strip('"'))
            revision = corrections.revision
        saved = {"saved": str(corrections.path), "rows": rows}
        self._send(json.dumps(saved).encode(), JSON, revision=revision)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length") or ""
        if not (length.isascii() and length.isdecimal()):
            raise _Refusal(HTTPStatus.LENGTH_REQUIRED, "Expected the length of the body.")
        if len(length) > 12 or int(length) > LARGEST:
            raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Expected at most {LARGEST >> 20} MiB.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _Refusal(HTTPStatus.BAD_REQUEST, "The request was cut off.")
        return body

    def _send(
        self, content: bytes, kind: str, *, status: HTTPStatus = HTTPStatus.OK, revision: str | None = None
    ) -> None:
        self.send_response(status)
        if revision is not None:
            self.send_header("ETag", f'"{revision}"')
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
