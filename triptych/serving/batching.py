"""Dynamic batching: queued items are computed together, without waiting for a full batch."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Computes items in batches, in threads, in the order in which they came.

    While batches are computed, the next items queue; they are the next batch. A single item is computed at once, and
    under load the batches grow by themselves. Where a batch fails, its items are computed one by one, so that an item
    that cannot be computed fails alone. Items whose caller has given up are left out.

    Args:
        compute: Maps a list of items to as many results.
        executor: Where it is called.
        most: Maximum number of items in a batch.
        at_once: Number of batches that are computed concurrently.
        observe: Called with the size of every batch.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> sizes = []
        >>> async def doubled():
        ...     with ThreadPoolExecutor(1) as pool:
        ...         batcher = Batcher(lambda items: [2 * item for item in items], pool, most=4, observe=sizes.append)
        ...         return await asyncio.gather(*map(batcher.result, range(6)))
        >>> asyncio.run(doubled()), sizes
        ([0, 2, 4, 6, 8, 10], [4, 2])
    """

    def __init__(
        self,
        compute: Callable[[list[Item]], Sequence[Result]],
        executor: Executor,
        *,
        most: int,
        at_once: int = 1,
        observe: Callable[[int], object] | None = None,
    ) -> None:
        self._compute = compute
        self._executor = executor
        self._most = most
        self._at_once = at_once
        self._observe = observe
        self._waiting = deque[tuple[Item, asyncio.Future[Result]]]()
        self._working = 0
        self._tasks = set[asyncio.Task[None]]()

    def result(self, item: Item) -> asyncio.Future[Result]:
        """Queue an item; its result can be awaited, which raises what `compute` raises of this item alone."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._working < self._at_once:
            self._working += 1
            task = asyncio.create_task(self._work())
            self._tasks.add(task)  # the event loop itself holds no reference
            task.add_done_callback(self._tasks.discard)
        return future

    async def _work(self) -> None:
        try:
            while self._waiting:
                if batch := self._taken():
                    if self._observe is not None:
                        self._observe(len(batch))
                    await self._answer(batch)
        finally:
            self._working -= 1

    def _taken(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        """Take what is queued, without what nobody waits for any more."""
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._waiting and len(batch) < self._most:
            item, future = self._waiting.popleft()
            if not future.done():
                batch.append((item, future))
        return batch

    async def _answer(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._executor, self._compute, [item for item, _ in batch])
        except Exception as error:
            if len(batch) > 1:
                for one in batch:
                    await self._answer([one])
            elif not (future := batch[0][1]).done():
                future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
