"""Runs the service of a model until it is stopped: `triptych.serve` and `triptych serve`."""

import asyncio
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal

from triptych.errors import ServiceError
from triptych.serving.requests.limits import Limits

if TYPE_CHECKING:
    from triptych.artefacts.model import TrainedModel
    from triptych.search.opening import Location

TOKEN_VARIABLE = "TRIPTYCH_TOKEN"  # noqa: S105 - a name
BACKLOG = 2048


def serve(
    model: "str | Path | TrainedModel",
    *,
    index: "Location | None" = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    without_token: bool = False,
    limits: Limits | None = None,
    device: str = "auto",
    engine: Literal["auto", "torch", "onnx"] = "onnx",
    on_start: Callable[[str], object] | None = None,
) -> None:
    """Serve a model over HTTP until SIGTERM or Ctrl-C; requests that are being answered then are finished.

    Logs go to standard error, one JSON object a line.

    Args:
        model: The model, or the place of one, as `load` takes it.
        index: The location of an index of its embeddings, for /search.
        host: The address to listen at; others than this machine's own need a token.
        port: The port; 0 takes a free one.
        token: What clients have to send as `Authorization: Bearer TOKEN`; None takes it from the environment variable
            TRIPTYCH_TOKEN, where there is one.
        without_token: Whether other machines are allowed without a token.
        limits: What is accepted at most; None takes the defaults.
        device: As for `load`.
        engine: As for `load`: a bundle is computed by ONNX Runtime, even where PyTorch is installed.
        on_start: Called with the URL as soon as requests are accepted.

    Raises:
        CheckpointError: There is no model.
        SearchError: There is no index, or it is of another model.
        ServiceError: The address cannot be used, a token is needed, or a package is missing.

    Example:
        >>> serve("bundle", index="photos.index", port=8000)  # doctest: +SKIP
    """
    try:
        import uvicorn

        from triptych.serving.app import create_app
    except ModuleNotFoundError as error:
        raise ServiceError(
            f"Serving needs the package {error.name}, which is not installed: pip install 'triptych[serve]'."
        ) from error
    from triptych.artefacts.loading import load
    from triptych.search import open_index
    from triptych.serving.logs import LOGGER, LOGGING

    limits = limits or Limits()
    chosen = _checked_token(token if token is not None else os.environ.get(TOKEN_VARIABLE))
    family, address = _resolved(host, port)
    if not (chosen or without_token or ipaddress.ip_address(address[0].partition("%")[0]).is_loopback):
        raise ServiceError(
            f"Expected a token, because other machines can reach {host}; got none. Set {TOKEN_VARIABLE} or name a file "
            "(--token-file), or let everybody in (--without-token)."
        )
    loaded = load(model, device=device, engine=engine) if isinstance(model, str | Path) else model
    opened = None if index is None else open_index(index)
    app = create_app(loaded, index=opened, limits=limits, token=chosen)
    listening = _listening(family, address, host)
    bound = listening.getsockname()
    url = f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}"

    def started() -> None:
        fields = {"url": url, "fingerprint": loaded.fingerprint, "device": loaded.device, "token": bool(chosen)}
        LOGGER.info("listening", extra={"fields": fields})
        if on_start is not None:
            on_start(url)

    def stopping(number: int) -> None:
        app.state.service.gate.draining = True
        LOGGER.info("stopping", extra={"fields": {"signal": signal.Signals(number).name}})

    class Server(uvicorn.Server):
        """Finishes what it has begun when it is stopped, and returns."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for one, handler in before.items():
                    signal.signal(one, handler)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            stopping(sig)
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=ceil(limits.seconds) + 1,
    )
    with listening:
        asyncio.run(Server(config).serve([listening]))


def read_token(path: Path) -> str:
    """Read a token from a file, without the line's end.

    Raises:
        ServiceError: The file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError(f"{path}: expected a file with a token, but it cannot be read: {error}.") from error


def _checked_token(token: str | None) -> str | None:
    if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
        got = "one with spaces or other characters" if token else "an empty text"
        raise ServiceError(
            f"Expected a token of letters, digits and signs in {TOKEN_VARIABLE} or its file, got {got}. Make one with "
            '`python -c "import secrets; print(secrets.token_urlsafe())"`, or remove the variable.'
        )
    return token


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Find the address of a host."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError, OverflowError) as error:
        raise ServiceError(f"Expected an address of this machine, but {host!r} cannot be found ({error}).") from error
    return family, (str(address[0]), int(address[1]))


def _listening(family: socket.AddressFamily, address: tuple[str, int], host: str) -> socket.socket:
    # asyncio sends small answers without delay (TCP_NODELAY) only where a socket names its protocol.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ServiceError(
            f"Cannot listen at {host}, port {address[1]}: {error.strerror}. Choose another port (--port), or 0 for a "
            "free one."
        ) from error
    return listening
