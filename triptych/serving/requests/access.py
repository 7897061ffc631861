"""The middleware of every request: id, token, log line, metrics, and a response for every error."""

import hmac
import re
import time
import uuid
from collections.abc import Collection

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from triptych.serving.api.answers import failure
from triptych.serving.api.problems import Problem
from triptych.serving.logs import LOGGER, REQUEST_ID
from triptych.serving.metrics import Metrics

OPEN = ("/healthz", "/readyz")
"""Endpoints that need no token: probes have none."""
QUIET = (*OPEN, "/metrics")
"""Endpoints whose successes are not logged."""
GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Access:
    """The outermost layer of the application.

    Args:
        app: The application below.
        metrics: What is counted.
        token: Token that clients must send as `Authorization: Bearer TOKEN`; None allows all clients.
        endpoints: The known paths; others are counted together.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, token: str | None, endpoints: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._token = None if token is None else token.encode()
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 0
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        REQUEST_ID.set(request_id)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            if scope["path"] in OPEN or self._is_allowed(headers.get(b"authorization", b"")):
                await self._app(scope, receive, send_with_id)
            else:
                await _unauthorised()(scope, receive, send_with_id)
        except Exception:
            LOGGER.exception("A request has failed")
            if not status:
                message = "The service has failed. Its log has the reason, by the request's id."
                await failure(Problem(500, "internal", message))(scope, receive, send_with_id)
        finally:
            self._record(scope, status, time.perf_counter() - begin)

    def _is_allowed(self, authorization: bytes) -> bool:
        if self._token is None:
            return True
        scheme, _, credentials = authorization.partition(b" ")
        # Compared whatever the scheme is, in a time that does not depend on where the first difference is.
        return hmac.compare_digest(credentials.strip(), self._token) and scheme.lower() == b"bearer"

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        path = scope["path"]
        endpoint = path if path in self._endpoints else "other"
        self._metrics.requests.labels(endpoint, str(status)).inc()
        self._metrics.seconds.labels(endpoint).observe(seconds)
        if path not in QUIET or status >= 400:
            client = scope.get("client")
            fields = {
                "method": scope["method"],
                "path": path,
                "status": status,
                "milliseconds": round(1000 * seconds, 1),
                "client": client[0] if client else None,
            }
            LOGGER.info("request", extra={"fields": fields})


def _unauthorised() -> Response:
    message = "Expected the header Authorization: Bearer TOKEN with the token of this service, got none or another one."
    return failure(Problem(401, "unauthorised", message, {"WWW-Authenticate": "Bearer"}))
