"""The table of endpoints, with all that the OpenAPI document contains about them."""

import base64
import io
from collections.abc import Callable
from typing import Any, NamedTuple

from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel

from triptych.serving.api.arguments import ClassifyArguments, EmbedArguments, SearchArguments
from triptych.serving.api.direct import Target
from triptych.serving.api.documents import (
    ClassifyAnswer,
    EmbedAnswer,
    Failure,
    PictureAnswer,
    SearchAnswer,
    State,
)
from triptych.serving.api.routes import Routes
from triptych.serving.requests.limits import Limits
from triptych.serving.service import Service

FAILURES = {
    401: "The token is missing or another one.",
    406: "Several images were sent, and one PNG file is accepted.",
    408: "The body did not arrive in time.",
    413: "Too many bytes, pixels or images.",
    415: "The body is of another type.",
    422: "The body or an argument cannot be read, or no image can be used.",
    429: "The queue is full; send the request again after `Retry-After` seconds.",
    500: "The service has failed.",
    503: "The result was not ready in time, the index is out of reach, or the service is stopping.",
}
OF_A_COMPUTATION = (408, 413, 415, 422, 429, 500, 503)


class Endpoint(NamedTuple):
    """A row of the table."""

    method: str
    function: Callable[..., Any]
    arguments: type[BaseModel] | None
    answer: type[BaseModel] | None
    body: dict[str, Any] | None
    failures: tuple[int, ...]
    content: dict[str, Any] | None = None


def add_endpoints(app: FastAPI, service: Service, *, needs_token: bool) -> dict[str, Target]:
    """Document the endpoints that the model and the index allow, and return what answers them, by path."""
    routes, limits, model = Routes(service), service.limits, service.model
    images = images_body(model.description.preprocessing.shape, limits)
    png = {"image/png": {"schema": {"type": "string", "format": "binary"}}}
    text = {"text/plain": {"schema": {"type": "string"}}}
    table = {
        "/embed": Endpoint("POST", routes.embed, EmbedArguments, EmbedAnswer, images, OF_A_COMPUTATION),
        "/classify": Endpoint("POST", routes.classify, ClassifyArguments, ClassifyAnswer, images, OF_A_COMPUTATION),
    }
    if model.latent_dim is not None:
        failures, latents = (406, *OF_A_COMPUTATION), latents_body(model.latent_dim, limits)
        table["/reconstruct"] = Endpoint("POST", routes.reconstruct, None, PictureAnswer, images, failures, png)
        table["/decode"] = Endpoint("POST", routes.decode, None, PictureAnswer, latents, failures, png)
    if service.index is not None:
        table["/search"] = Endpoint("POST", routes.search, SearchArguments, SearchAnswer, images, OF_A_COMPUTATION)
    table["/metrics"] = Endpoint("GET", routes.metrics, None, None, None, (), text)
    secured = list(table)
    table["/healthz"] = Endpoint("GET", routes.healthz, None, State, None, ())
    table["/readyz"] = Endpoint("GET", routes.readyz, None, State, None, (503,))
    for path, one in table.items():
        needs = needs_token and path in secured
        extra: dict[str, Any] = {} if one.body is None else {"requestBody": one.body}
        if needs:
            extra["security"] = [{"token": []}]
        statuses = (401, *one.failures) if needs else one.failures
        responses: dict[int | str, dict[str, Any]] = {
            status: {"model": Failure, "description": FAILURES[status]} for status in statuses
        }
        if one.content is not None:
            responses[200] = {"content": one.content}
        app.add_api_route(
            path,
            one.function,
            methods=[one.method],
            response_model=one.answer,
            responses=responses,
            openapi_extra=extra,
        )
    if needs_token:
        app.openapi()["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {path: Target(one.method, one.arguments, one.function) for path, one in table.items()}


def images_body(shape: tuple[int, int, int], limits: Limits) -> dict[str, Any]:
    """Describe the body of a request with images.

    Args:
        shape: Channels, height and width of the model's images.
        limits: What is accepted at most.
    """
    binary = {"type": "string", "format": "binary"}
    several = {"type": "array", "minItems": 1, "maxItems": limits.images}
    form = {
        "type": "object",
        "properties": {"images": {**several, "items": binary}},
        "required": ["images"],
    }
    document = {
        "type": "object",
        "properties": {"images": {**several, "items": {"type": "string", "contentEncoding": "base64"}}},
        "required": ["images"],
        "additionalProperties": False,
    }
    example = {"images": [base64.b64encode(_example(shape)).decode()]}
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": document, "example": example},
    }
    content |= {kind: {"schema": binary} for kind in ("application/octet-stream", "image/jpeg", "image/png")}
    return {"required": True, "content": content}


def latents_body(latent_dim: int, limits: Limits) -> dict[str, Any]:
    """Describe the body of a request with latents."""
    point = {"type": "array", "minItems": latent_dim, "maxItems": latent_dim, "items": {"type": "number"}}
    schema = {
        "type": "object",
        "properties": {"latents": {"type": "array", "minItems": 1, "maxItems": limits.images, "items": point}},
        "required": ["latents"],
        "additionalProperties": False,
    }
    example = {"latents": [[0.0] * latent_dim]}
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _example(shape: tuple[int, int, int]) -> bytes:
    """Draw a small image that the model takes, as a PNG file."""
    channels, height, width = shape
    stream = io.BytesIO()
    Image.new("L" if channels == 1 else "RGB", (width, height), "grey").save(stream, "PNG")
    return stream.getvalue()
