"""Makes the application: its endpoints, their documents, and the answers to what goes wrong."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from triptych.artefacts.model import TrainedModel
from triptych.search import Index
from triptych.serving.api.answers import failure
from triptych.serving.api.arguments import invalid_argument
from triptych.serving.api.direct import GAVE_UP, Direct
from triptych.serving.api.endpoints import add_endpoints
from triptych.serving.api.problems import Problem
from triptych.serving.requests.access import Access
from triptych.serving.requests.limits import Limits
from triptych.serving.service import Service
from triptych.version import __version__


def create_app(
    model: TrainedModel, *, index: Index | None = None, limits: Limits | None = None, token: str | None = None
) -> FastAPI:
    """Make an application of ASGI that serves a model; `serve` runs it, and any other server can.

    Args:
        model: What `triptych.load` returns.
        index: An index of embeddings of the same model; without one there is no /search. The application closes it.
        limits: What is accepted at most; None takes the defaults.
        token: What clients have to send as `Authorization: Bearer TOKEN`; None lets all in.

    Returns:
        The application; `app.state.service` holds its `Service`.

    Raises:
        SearchError: The index is of another model.

    Example:
        >>> import triptych
        >>> app = create_app(triptych.load("best.ckpt"))
        >>> sorted(app.openapi()["paths"])
        ['/classify', '/decode', '/embed', '/healthz', '/metrics', '/readyz', '/reconstruct']
    """
    if index is not None:
        from triptych.search.images import model_of

        model_of(index, model)
    service = Service(model, index=index, limits=limits or Limits())

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        del app
        await service.warm_up()
        yield
        service.close()

    app = FastAPI(
        title="Triptych",
        version=__version__,
        description="Embeddings, classes, reconstructions and similar images of images.",
        lifespan=running,
        docs_url=None,  # its page would load programs from another host
        redoc_url=None,
    )
    app.state.service = service
    targets = add_endpoints(app, service, needs_token=token is not None)
    app.state.endpoints = endpoints = [*targets, "/openapi.json"]
    app.add_middleware(Direct, targets=targets)
    app.add_middleware(Access, metrics=service.metrics, token=token, endpoints=endpoints)  # around the other
    app.add_exception_handler(Problem, _of_problem)
    app.add_exception_handler(RequestValidationError, _of_arguments)
    app.add_exception_handler(HTTPException, _of_routing)
    app.add_exception_handler(ClientDisconnect, _of_disconnection)
    return app


async def _of_problem(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, Problem)
    return failure(error)


async def _of_arguments(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return failure(invalid_argument(first["loc"], first["msg"]))


async def _of_routing(request: Request, error: Exception) -> Response:
    """Answer what has no endpoint, or not with this method."""
    assert isinstance(error, HTTPException)
    known = ", ".join(request.app.state.endpoints)
    codes = {404: "not_found", 405: "method_not_allowed"}
    message = f"{error.detail}: {request.method} {request.url.path}. This service has {known}."
    return failure(Problem(error.status_code, codes.get(error.status_code, "http"), message, error.headers))


async def _of_disconnection(request: Request, error: Exception) -> Response:
    del request, error
    return Response(status_code=GAVE_UP)
