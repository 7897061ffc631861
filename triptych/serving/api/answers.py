"""Results and problems as HTTP answers."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson
from starlette.responses import Response

from triptych.serving.api.problems import Problem
from triptych.serving.logs import REQUEST_ID

Result = TypeVar("Result")


def json_answer(content: Any, *, status: int = 200) -> Response:  # noqa: ANN401
    """Return JSON; numbers that are not finite become null, and float32 arrays have the digits of float32."""
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json")


def failure(problem: Problem) -> Response:
    """Return a problem, with the id of the request."""
    content = {"error": {**problem.described(), "request_id": REQUEST_ID.get()}}
    answer = json_answer(content, status=problem.status)
    answer.headers.update(problem.headers)
    return answer


def results_answer(
    results: Sequence[Result | Problem], described: Callable[[Result], dict[str, Any]], *, fingerprint: str
) -> Response:
    """Return one result for each image, in order; one that has failed has `error` in its place.

    Where all have failed, the answer has the status of the first problem.
    """
    problems = [one for one in results if isinstance(one, Problem)]
    if len(problems) == len(results):
        return failure(problems[0])
    content = [{"error": one.described()} if isinstance(one, Problem) else described(one) for one in results]
    return json_answer({"model": fingerprint, "results": content})
