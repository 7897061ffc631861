"""Computation of the service: threads decode and encode images in batches, outside the event loop."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.artefacts.engines.engine import Encoded
from triptych.artefacts.model import TrainedModel
from triptych.data.own.unlabelled import THREADS
from triptych.data.pixels.opening import TooManyPixels, UndecodableImage
from triptych.errors import SearchError
from triptych.search import Index, Match, parse_where
from triptych.serving.api.problems import RETRY_AFTER, Problem
from triptych.serving.batching import Batcher
from triptych.serving.logs import LOGGER
from triptych.serving.metrics import Metrics
from triptych.serving.requests.gate import Gate
from triptych.serving.requests.limits import Limits

# B batch, C channels, H/W image, L latent_dim.

Item = TypeVar("Item")
Result = TypeVar("Result")
AT_ONCE = 2
"""Batches that are computed at one time: one is decoded while the other is encoded."""
SMALL = 32_768
"""Bytes of an image that is decoded in the thread of the model, with its batch: the way to another thread and back
would take longer."""
SEARCHERS = 4
"""Threads that search: an index on another machine is waited for."""


class Service:
    """A model, and the index that is searched with it, as many requests use them at once.

    Its methods belong to one event loop. Results come in the order of what was passed; what cannot be computed becomes
    a `Problem` in its place, and the others are not affected.

    Args:
        model: The model.
        index: An index of the same model; None serves no searches.
        limits: What is accepted at most.

    Attributes:
        gate: Admission to the queue.
        metrics: What is counted.
    """

    def __init__(self, model: TrainedModel, *, index: Index | None, limits: Limits) -> None:
        self.model = model
        self.index = index
        self.limits = limits
        self.gate = Gate(limits)
        self.metrics = Metrics(self.gate, fingerprint=model.fingerprint)
        self._decoders = ThreadPoolExecutor(THREADS, "triptych-decode")
        self._engine = ThreadPoolExecutor(AT_ONCE, "triptych-model")
        self._searchers = ThreadPoolExecutor(SEARCHERS, "triptych-search")
        observe = self.metrics.batch_sizes.observe
        self._encoder = Batcher(self._encode_batch, self._engine, most=limits.batch, at_once=AT_ONCE, observe=observe)
        self._decoder = Batcher(self._decode_batch, self._engine, most=limits.batch, at_once=AT_ONCE)

    async def encode(self, images: Sequence[bytes | Problem]) -> list[Encoded | Problem]:
        """Compute embedding (E,), logits (K,) and latent (L,) of encoded images."""
        found = await self._each(self._encode_one, images)
        for one in found:
            self.metrics.images.labels(one.code if isinstance(one, Problem) else "ok").inc()
        return found

    async def decode(self, latents: Sequence[Sequence[float] | Problem]) -> list[bytes | Problem]:
        """Compute the images of latents, as PNG files."""
        return await self._each(self._decode_one, latents)

    async def reconstruct(self, images: Sequence[bytes | Problem]) -> list[bytes | Problem]:
        """Compute the reconstructions of encoded images, as PNG files."""
        return await self.decode(
            [one if isinstance(one, Problem) else _latent(one) for one in await self.encode(images)]
        )

    async def search(
        self, images: Sequence[bytes | Problem], k: int, *, where: str | None, exact: bool
    ) -> list[list[Match] | Problem]:
        """Find the k nearest images of the index for each image; see `Index.search`.

        Raises:
            Problem: 422, the filter cannot be read; 503, the index cannot be searched.
        """
        assert self.index is not None
        await self._searched(self._check_filter, where)
        found = await self.encode(images)
        good = [one.embeddings for one in found if not isinstance(one, Problem)]
        if not good:
            return [one for one in found if isinstance(one, Problem)]
        fingerprint = self.model.fingerprint
        index = self.index
        matches = iter(
            await self._searched(
                lambda: index.search(np.stack(good), k, where=where, exact=exact, fingerprint=fingerprint)
            )
        )
        return [one if isinstance(one, Problem) else next(matches) for one in found]

    async def warm_up(self) -> None:
        """Compute once, so that the first request does not wait for the initialisation of a library."""
        await self._encoder.result(np.zeros(self.model.description.preprocessing.input_shape, np.float32))

    def close(self) -> None:
        """End the threads, and release the index."""
        for pool in (self._decoders, self._engine, self._searchers):
            pool.shutdown(cancel_futures=True)
        if self.index is not None:
            self.index.close()

    async def _each(
        self, compute: Callable[[Item], Awaitable[Result]], items: Sequence[Item | Problem]
    ) -> list[Result | Problem]:
        """Compute all items at once; one that fails becomes a problem."""
        if len(items) == 1:  # the usual case, without the cost of a task
            return [await self._one(compute, items[0])]
        return list(await asyncio.gather(*(self._one(compute, item) for item in items)))

    async def _one(self, compute: Callable[[Item], Awaitable[Result]], item: Item | Problem) -> Result | Problem:
        if isinstance(item, Problem):
            return item
        try:
            return await compute(item)
        except Problem as problem:
            return problem
        except Exception:
            LOGGER.exception("A result could not be computed")
            return Problem(500, "internal", "The service has failed. Its log has the reason, by the request's id.")

    async def _encode_one(self, image: bytes) -> Encoded:
        queued = image if len(image) <= SMALL else await _call(self._decoders, self._prepared, image)
        encoded = await self._encoder.result(queued)
        if isinstance(encoded, Problem):
            raise encoded
        return encoded

    async def _decode_one(self, latent: Sequence[float]) -> bytes:
        point = np.asarray(latent, np.float64)
        if point.shape != (self.model.latent_dim,):
            raise Problem(422, "invalid_latent", f"Expected {self.model.latent_dim} numbers, got {len(latent)}.")
        largest = float(np.abs(point).max())
        if not largest <= np.finfo(np.float32).max:
            raise Problem(422, "invalid_latent", f"Expected numbers that float32 can hold, got one of {largest:g}.")
        picture = await self._decoder.result(point.astype(np.float32))
        return await _call(self._decoders, _png, picture)

    def _prepared(self, image: bytes) -> NDArray[np.float32]:
        """Decode an image to the model's input, (C, H, W)."""
        try:
            return self.model.description.preprocessing.prepare(image, max_pixels=self.limits.pixels)
        except TooManyPixels as error:
            raise Problem(413, "too_many_pixels", str(error)) from None
        except UndecodableImage as error:
            raise Problem(422, "invalid_image", str(error)) from None

    def _encode_batch(self, images: list[bytes | NDArray[np.float32]]) -> list[Encoded | Problem]:
        """Decode and encode a batch, of which the large images have been decoded already."""
        prepared = [self._prepared_or_problem(one) if isinstance(one, bytes) else one for one in images]
        pixels = [one for one in prepared if not isinstance(one, Problem)]
        encoded = iter(self._encoded(pixels) if pixels else ())
        return [one if isinstance(one, Problem) else next(encoded) for one in prepared]

    def _prepared_or_problem(self, image: bytes) -> NDArray[np.float32] | Problem:
        try:
            return self._prepared(image)
        except Problem as problem:
            return problem

    def _encoded(self, pixels: list[NDArray[np.float32]]) -> list[Encoded]:
        embeddings, logits, latents = self.model.encode_pixels(np.stack(pixels))
        return [
            Encoded(embeddings[row], logits[row], None if latents is None else latents[row])
            for row in range(len(pixels))
        ]

    def _decode_batch(self, latents: list[NDArray[np.float32]]) -> list[NDArray[np.uint8]]:
        return list(self.model.decode(np.stack(latents)))

    async def _searched(self, function: Callable[..., Result], *arguments: object) -> Result:
        try:
            return await _call(self._searchers, function, *arguments)
        except SearchError as error:
            LOGGER.exception("The index cannot be searched")
            raise Problem(503, "index_unavailable", "The index cannot be searched now.", RETRY_AFTER) from error

    def _check_filter(self, where: str | None) -> None:
        assert self.index is not None
        columns = self.index.settings().columns
        if where is None:
            return
        try:
            parse_where(where, columns)
        except SearchError as error:
            raise Problem(422, "invalid_filter", str(error)) from None


async def _call(executor: Executor, function: Callable[..., Result], *arguments: object) -> Result:
    return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)


def _latent(encoded: Encoded) -> list[float]:
    assert encoded.latents is not None
    latent: list[float] = encoded.latents.tolist()
    return latent


def _png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
