"""Error responses of the service: a status, a code for programs, and a message for users."""

from collections.abc import Mapping

RETRY_AFTER = {"Retry-After": "1"}
"""For clients that may send the same request again, in seconds."""


class Problem(Exception):  # noqa: N818 - it is an answer
    """A request or an image that cannot be processed.

    Attributes:
        status: The HTTP status.
        code: What went wrong, for programs.
        message: What was expected, what was received, and what to do.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def described(self) -> dict[str, str]:
        """Return the problem as a part of an answer."""
        return {"code": self.code, "message": self.message}


def too_large(what: str, most: int) -> Problem:
    """Return the problem of a request that is beyond a limit."""
    return Problem(413, f"too_many_{what}", f"Expected at most {most:,} {what}, got more. Send less at a time.")


def overloaded() -> Problem:
    """Return the problem of a request that finds the queue full."""
    return Problem(429, "overloaded", "The queue is full. Send the request again after a second.", RETRY_AFTER)
