import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from triptych.serving.batching import Batcher


def run(coroutine_of, compute, *, most=4, at_once=1):
    """Call a function with a batcher in an event loop."""

    async def main():
        with ThreadPoolExecutor(at_once) as pool:
            return await coroutine_of(Batcher(compute, pool, most=most, at_once=at_once))

    return asyncio.run(main())


def test_what_queues_during_a_batch_is_the_next_and_a_single_item_does_not_wait():
    batches, first, release = [], threading.Event(), threading.Event()

    def compute(items):
        batches.append(items)
        first.set()
        assert release.wait(30)
        return [-item for item in items]

    async def ask(batcher):
        results = [batcher.result(0)]
        await asyncio.to_thread(first.wait, 30)
        results += [batcher.result(item) for item in range(1, 8)]
        await asyncio.sleep(0)
        release.set()
        return await asyncio.gather(*results)

    assert run(ask, compute) == [0, -1, -2, -3, -4, -5, -6, -7]
    assert batches == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_batches_are_computed_at_the_same_time_up_to_a_number():
    together = threading.Barrier(2, timeout=30)

    def compute(items):
        together.wait()
        return items

    async def ask(batcher):
        found = [asyncio.gather(*map(batcher.result, range(8)))]
        found.append(await found[0])  # all workers have ended
        return await asyncio.gather(*map(batcher.result, range(8))) == found[1]

    assert run(ask, compute, at_once=2)


def test_an_item_that_cannot_be_computed_fails_alone():
    def compute(items):
        return [1 / item for item in items]

    async def ask(batcher):
        return await asyncio.gather(*map(batcher.result, [1, 0, 2, 4]), return_exceptions=True)

    found = run(ask, compute)

    assert [found[0], found[2], found[3]] == [1, 0.5, 0.25]
    assert isinstance(found[1], ZeroDivisionError)


def test_what_nobody_waits_for_any_more_is_not_computed():
    computed = []

    async def ask(batcher):
        given_up = batcher.result(1)
        kept = batcher.result(2)
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        return await kept

    def compute(items):
        computed.extend(items)
        return items

    assert run(ask, compute) == 2
    assert computed in ([2], [1, 2])  # the batch may have begun before
