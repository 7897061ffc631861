"""Bodies of requests: images as multipart form data, base64 in JSON or raw bytes, and latents in JSON; with limits."""

import base64
from collections.abc import AsyncGenerator
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError
from python_multipart.exceptions import FormParserError
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from triptych.serving.api.problems import Problem, too_large
from triptych.serving.requests.gate import Visit
from triptych.serving.requests.limits import Limits

Item = TypeVar("Item")
Body = TypeVar("Body", bound=BaseModel)

MOST_PARTS = 1000
"""Parts of a form that are read before it is counted as too many."""


class ImagesBody(BaseModel):
    """Images in a JSON document: files of any supported format, encoded in base64."""

    model_config = ConfigDict(extra="forbid", strict=True)

    images: list[str]


class LatentsBody(BaseModel):
    """Points of the latent space in a JSON document; a number in quotes is none, nor are NaN and infinity."""

    model_config = ConfigDict(extra="forbid", strict=True)

    latents: list[list[FiniteFloat]]


async def read_images(request: Request, visit: Visit, limits: Limits) -> list[bytes | Problem]:
    """Read the encoded images of a request, in order; one that is no base64 becomes a problem of its own.

    Raises:
        Problem: 413, too many bytes or images; 415, a body of another type; 422, a body that cannot be read, or one
            without images; 429, too many bytes at one time.
    """
    kind = _content_type(request)
    if kind == "multipart/form-data":
        images: list[bytes | Problem] = [*await _form_files(request, visit, limits)]
    elif kind == "application/json":
        images = [_from_base64(text) for text in _parsed(ImagesBody, await _body(request, visit, limits)).images]
    elif kind == "application/octet-stream" or kind.startswith("image/"):
        images = [await _body(request, visit, limits)]
    else:
        raise Problem(
            415,
            "unsupported_media_type",
            "Expected multipart/form-data, application/json, application/octet-stream or image/*, got "
            f"{kind or 'no Content-Type'}. Name the type in the header Content-Type.",
        )
    return _counted(images, "images", limits)


async def read_latents(request: Request, visit: Visit, limits: Limits) -> list[list[float]]:
    """Read the latents of a request; raises as `read_images`."""
    kind = _content_type(request)
    if kind != "application/json":
        raise Problem(
            415, "unsupported_media_type", f"Expected application/json, got {kind or 'no Content-Type'}. Send JSON."
        )
    return _counted(_parsed(LatentsBody, await _body(request, visit, limits)).latents, "latents", limits)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _counted(items: list[Item], name: str, limits: Limits) -> list[Item]:
    if not items:
        raise Problem(422, "invalid_body", f"Expected at least one of {name}, got none.")
    if len(items) > limits.images:
        raise too_large(name, limits.images)
    return items


async def _chunks(request: Request, visit: Visit, limits: Limits) -> AsyncGenerator[bytes, None]:
    """Yield the body as it arrives, as long as it is within the limits."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limits.request_bytes:
        raise too_large("bytes", limits.request_bytes)
    visit.is_reading = True
    async for chunk in request.stream():
        if visit.bytes + len(chunk) > limits.request_bytes:
            raise too_large("bytes", limits.request_bytes)
        visit.hold_bytes(len(chunk))
        yield chunk
    visit.is_reading = False


async def _body(request: Request, visit: Visit, limits: Limits) -> bytes:
    return b"".join([chunk async for chunk in _chunks(request, visit, limits)])


async def _form_files(request: Request, visit: Visit, limits: Limits) -> list[bytes]:
    """Read the files of a form, whatever their fields are called."""
    parser = MultiPartParser(
        request.headers, _chunks(request, visit, limits), max_files=MOST_PARTS, max_fields=MOST_PARTS
    )
    parser.spool_max_size = limits.request_bytes + 1  # nothing goes to the disk
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError, ValueError) as error:  # ValueError: of a damaged charset
        reason = getattr(error, "message", str(error))
        if reason.startswith("Too many"):
            raise too_large("images", limits.images) from None
        raise Problem(422, "invalid_body", f"Expected multipart form data, but {reason}") from None
    files = [part for _, part in form.multi_items() if not isinstance(part, str)]
    if not files:
        raise Problem(422, "invalid_body", "Expected files in the form, got none. With curl: -F images=@photo.jpg")
    return [await file.read() for file in files]


def _parsed(form: type[Body], body: bytes) -> Body:
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise Problem(422, "invalid_body", f"{place}: {first['msg']}") from None


def _from_base64(text: str) -> bytes | Problem:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        return Problem(422, "invalid_base64", f"Expected an image in base64, but: {error}")
