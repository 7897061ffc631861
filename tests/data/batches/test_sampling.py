"""The batch sampler: every image once, even shares, and the same global batches for any number of processes."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from triptych.data.batches.sampling import BalancedBatchSampler


def samplers(size, *, batch_size, world_size, epoch=0, shuffle=True, seed=0):
    ranks = [
        BalancedBatchSampler(size, batch_size=batch_size, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for sampler in ranks:
        sampler.set_epoch(epoch)
    return ranks


def global_batches(size, **options):
    """The shares of all ranks, put together step by step."""
    return [torch.cat(shares).tolist() for shares in zip(*samplers(size, **options), strict=True)]


@settings(deadline=None, max_examples=200)
@given(
    size=st.integers(1, 300),
    batch_size=st.integers(1, 40),
    world_size=st.integers(1, 6),
    shuffle=st.booleans(),
    epoch=st.integers(0, 50),
)
def test_every_image_once_in_even_batches_and_shares(size, batch_size, world_size, shuffle, epoch):
    steps = -(-size // (batch_size * world_size))
    assume(size >= steps * world_size)
    ranks = samplers(size, batch_size=batch_size, world_size=world_size, shuffle=shuffle, epoch=epoch)
    shares = [[batch.tolist() for batch in sampler] for sampler in ranks]
    assert sorted(index for rank in shares for batch in rank for index in batch) == list(range(size))
    assert all(len(rank) == steps == len(sampler) for rank, sampler in zip(shares, ranks, strict=True))
    assert all(1 <= len(batch) <= batch_size for rank in shares for batch in rank)
    totals = [sum(map(len, together)) for together in zip(*shares, strict=True)]
    assert max(totals) - min(totals) <= 1
    for together in zip(*shares, strict=True):
        assert max(map(len, together)) - min(map(len, together)) <= 1


@settings(deadline=None, max_examples=50)
@given(size=st.integers(24, 400), share=st.integers(2, 10), world_size=st.sampled_from([2, 3, 4]))
def test_global_batches_do_not_depend_on_the_number_of_processes(size, share, world_size):
    alone = global_batches(size, batch_size=share * world_size, world_size=1, epoch=3)
    assert global_batches(size, batch_size=share, world_size=world_size, epoch=3) == alone


def test_without_shuffling_the_order_is_that_of_the_data_in_every_epoch():
    for epoch in (0, 5):
        batches = global_batches(7, batch_size=3, world_size=1, shuffle=False, epoch=epoch)
        assert batches == [[0, 1], [2, 3], [4, 5, 6]]


def test_orders_differ_by_epoch_and_seed_and_can_be_repeated():
    def order(seed, epoch):
        (batch,) = global_batches(100, batch_size=100, world_size=1, seed=seed, epoch=epoch)
        return tuple(batch)

    assert order(3, 4) == order(3, 4)
    assert len({order(3, 4), order(4, 3), order(3, 5), order(7, 0)}) == 4
    assert order(3, 4) != tuple(range(100))


def test_iterating_does_not_touch_or_need_the_global_generator():
    (sampler,) = samplers(50, batch_size=8, world_size=1)
    before = torch.get_rng_state()
    first = [batch.tolist() for batch in sampler]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert [batch.tolist() for batch in sampler] == first


def test_a_loader_knows_its_length_and_passes_tensors_of_int64():
    (sampler,) = samplers(10, batch_size=4, world_size=1)
    assert len(DataLoader(range(10), batch_sampler=sampler)) == 3
    assert all(batch.dtype == torch.int64 for batch in sampler)


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (0, {"batch_size": 4}, "needs an image .* 0 images"),
        (3, {"batch_size": 4, "world_size": 4}, "needs an image .* 3 images in 1 batches .* 4 processes; use fewer"),
        (5, {"batch_size": 1, "world_size": 4}, "needs an image .* 5 images in 2 batches"),
    ],
)
def test_impossible_arguments_are_rejected(size, options, message):
    with pytest.raises(ValueError, match=message):
        BalancedBatchSampler(size, shuffle=True, **options)
