"""Admission control: limits of concurrent requests, images and bytes."""

from collections.abc import Iterator
from contextlib import contextmanager

from triptych.serving.api.problems import RETRY_AFTER, Problem, overloaded
from triptych.serving.requests.limits import Limits


class Visit:
    """One admitted request, created by `Gate.visit`.

    Attributes:
        images: Places in the queue that it holds.
        bytes: Bytes of its body that have arrived.
        is_reading: Whether the rest of its body is waited for.
    """

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate
        self.images = 0
        self.bytes = 0
        self.is_reading = False

    def hold_bytes(self, count: int) -> None:
        """Reserve memory for so many more bytes.

        Raises:
            Problem: 429, all requests together hold too many.
        """
        if self._gate.bytes + count > self._gate.limits.held_bytes:
            raise overloaded()
        self.bytes += count
        self._gate.bytes += count

    def hold_images(self, count: int) -> None:
        """Reserve places in the queue.

        Raises:
            Problem: 429, there are not so many.
        """
        if self._gate.images + count > self._gate.limits.queue:
            raise overloaded()
        self.images += count
        self._gate.images += count


class Gate:
    """Admits requests within the limits.

    Attributes:
        images: Images that wait or are computed.
        requests: Requests that are being read or answered.
        bytes: Bytes of their bodies.
        draining: Whether no more are admitted, because the service stops.

    Example:
        >>> gate = Gate(Limits(queue=1))
        >>> with gate.visit() as visit:
        ...     visit.hold_images(1)
        ...     gate.images
        1
        >>> gate.images
        0
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.images = 0
        self.requests = 0
        self.bytes = 0
        self.draining = False

    @contextmanager
    def visit(self) -> Iterator[Visit]:
        """Admit a request; its places are released at the end.

        Raises:
            Problem: 429, there are too many; 503, the service stops.
        """
        if self.draining:
            raise Problem(503, "stopping", "The service is stopping. Send the request to another one.", RETRY_AFTER)
        if self.requests >= self.limits.queue:
            raise overloaded()
        self.requests += 1
        visit = Visit(self)
        try:
            yield visit
        finally:
            self.requests -= 1
            self.images -= visit.images
            self.bytes -= visit.bytes
