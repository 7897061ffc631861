"""The arguments of endpoints, in the query of their URL."""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import QueryParams

from triptych.serving.api.problems import Problem

MOST_MATCHES = 1000
MOST_FILTER = 4000
"""Characters of a filter."""


class EmbedArguments(BaseModel):
    """Of `/embed`."""

    encoding: Annotated[
        Literal["float", "base64"], Field(description="Numbers, or little-endian float32 in base64.")
    ] = "float"


class ClassifyArguments(BaseModel):
    """Of `/classify`."""

    top: Annotated[int, Field(ge=1, le=1000, description="Classes to name.")] = 5


class SearchArguments(BaseModel):
    """Of `/search`."""

    k: Annotated[int, Field(ge=1, le=MOST_MATCHES, description="How many images to find.")] = 10
    where: Annotated[
        str | None,
        Field(max_length=MOST_FILTER, description="A filter over the columns of the index, see docs/search.md."),
    ] = None
    exact: Annotated[bool, Field(description="Compare with every image of a large index.")] = False


Arguments = TypeVar("Arguments", bound=BaseModel)


def read_arguments(form: type[Arguments], query: bytes) -> Arguments:
    """Read the arguments of a request.

    Raises:
        Problem: 422, one is invalid.
    """
    try:
        return form.model_validate(dict(QueryParams(query)) if query else {})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise invalid_argument(("query", *first["loc"]), first["msg"]) from None


def invalid_argument(place: tuple[int | str, ...], message: str) -> Problem:
    """Return the problem of an argument that cannot be read."""
    return Problem(422, "invalid_argument", f"{'.'.join(map(str, place))}: {message}")
