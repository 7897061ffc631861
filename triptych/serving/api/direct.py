"""Calls the endpoints directly: the layers of FastAPI would take more time than small models do.

FastAPI makes the OpenAPI document from the same functions and arguments, and answers what is no endpoint.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from triptych.serving.api.answers import failure
from triptych.serving.api.arguments import read_arguments
from triptych.serving.api.problems import Problem

GAVE_UP = 499
"""The status in logs and metrics of a request whose client has gone."""


class Target(NamedTuple):
    """What answers the requests of one path."""

    method: str
    arguments: type[BaseModel] | None
    function: Callable[..., Awaitable[Response]]
    """Takes the request and, where there are any, its arguments."""


class Direct:
    """A layer of ASGI that answers the endpoints, and passes on all else.

    Args:
        app: The application below.
        targets: The endpoints, by path.
    """

    def __init__(self, app: ASGIApp, *, targets: Mapping[str, Target]) -> None:
        self._app = app
        self._targets = targets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        target = self._targets.get(scope["path"]) if scope["type"] == "http" else None
        is_head = target is not None and (target.method, scope["method"]) == ("GET", "HEAD")
        if target is None or (target.method != scope["method"] and not is_head):
            await self._app(scope, receive, send)
            return
        try:
            request = Request(scope, receive)
            if target.arguments is None:
                answer = await target.function(request)
            else:
                answer = await target.function(request, read_arguments(target.arguments, scope["query_string"]))
        except Problem as problem:
            answer = failure(problem)
        except ClientDisconnect:
            answer = Response(status_code=GAVE_UP)
        if is_head:  # the headers are those of GET, its length too
            answer.body = b""
        await answer(scope, receive, send)
