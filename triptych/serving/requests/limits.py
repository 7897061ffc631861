"""Limits of a service: bytes, pixels, images, requests in the queue, seconds."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """The limits of a service.

    Attributes:
        request_bytes: Bytes of the body of one request; more is answered with 413.
        held_bytes: Bytes of all bodies that are held in memory at one time; more is answered with 429.
        pixels: Height times width of one image; more is answered with 413 before the image is decoded.
        images: Images, or latents, of one request; more is answered with 413.
        queue: Images that wait or are computed at one time, and requests likewise; more is answered with 429.
        seconds: Time for one request from its first byte to its answer; more is answered with 503, or with 408 where
            the body did not arrive.
        batch: Images that the model computes at once. A batch is what is queued; nothing waits for it to fill.

    Raises:
        ValueError: A limit is not positive.

    Example:
        >>> Limits(pixels=1_000_000).batch
        32
    """

    request_bytes: int = 20_000_000
    held_bytes: int = 500_000_000
    pixels: int = 50_000_000
    images: int = 32
    queue: int = 256
    seconds: float = 30.0
    batch: int = 32

    def __post_init__(self) -> None:
        for one in fields(self):
            if not getattr(self, one.name) > 0:
                raise ValueError(f"{one.name} must be positive, but it is {getattr(self, one.name)}")
