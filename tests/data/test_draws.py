"""Draws: good random numbers that depend on the image and on nothing else."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from triptych.data.draws import Draws, _splitmix64, mix

WRAP = 2**64


def draws_of(count, *, seed=0, epoch=0):
    return Draws(seed, epoch, torch.arange(count))


def splitmix64_in_plain_integers(seed, position):
    state = (seed + (position + 1) * 0x9E3779B97F4A7C15) % WRAP
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % WRAP
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % WRAP
    return state ^ (state >> 31)


def test_splitmix64_gives_the_published_outputs():
    # Rosetta Code, "Pseudo-random numbers/Splitmix64": the first five outputs for the seed 1234567.
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    outputs = _splitmix64(torch.tensor(1234567), torch.arange(5))
    assert [value % WRAP for value in outputs.tolist()] == published


def test_uniform_is_the_documented_function_of_seed_epoch_index_name_and_column():
    numbers = Draws(3, 4, torch.tensor([11, 2**40])).fork("left").uniform("angle", 3)
    key = mix(3, 4, ("left",), "angle") % WRAP
    for row, index in enumerate((11, 2**40)):
        stream = splitmix64_in_plain_integers(key, index)
        for column in range(3):
            assert numbers[row, column].item() == (splitmix64_in_plain_integers(stream, column) >> 40) / 2**24


def test_mix_stays_the_same_for_ever():
    # A changed value would change every run's batches: resume and published results depend on it.
    # The bytes of `printf "(0, 1, ('anchor',), 'angle')" | b2sum --length 64`, the first the lowest.
    assert mix(0, 1, ("anchor",), "angle").to_bytes(8, "little", signed=True).hex() == "2dfd96ce01e50fa2"


def grid(kind="uniform"):
    """Draws over epochs, indices and columns: (20, 400, 8)."""
    return torch.stack([getattr(draws_of(400, epoch=epoch), kind)("grid", 8) for epoch in range(20)])


def test_uniform_fills_the_unit_interval_evenly():
    numbers = grid()
    assert numbers.dtype == torch.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    bins = torch.bincount((numbers * 128).long().flatten(), minlength=128)
    assert 1e-3 < stats.chisquare(bins.numpy()).pvalue < 1 - 1e-3
    for dim in range(3):  # every epoch, every image and every column is even on its own
        others = [other for other in range(3) if other != dim]
        means = numbers.mean(others)
        deviations = (means - 0.5) * math.sqrt(12 * numbers.numel() / len(means))
        assert stats.kstest(deviations.numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("dim", [0, 1, 2], ids=["epoch", "index", "column"])
def test_neighbouring_draws_are_independent(dim):
    numbers = grid()
    size = numbers.shape[dim]
    first, second = numbers.narrow(dim, 0, size - 1).flatten(), numbers.narrow(dim, 1, size - 1).flatten()
    assert abs(torch.corrcoef(torch.stack((first, second)))[0, 1]) < 4 / math.sqrt(len(first))
    joint = torch.bincount((first * 16).long() * 16 + (second * 16).long(), minlength=256)
    assert stats.chisquare(joint.numpy()).pvalue > 1e-3


@pytest.mark.parametrize(
    "other",
    [
        lambda: draws_of(20000).uniform("b", 1),
        lambda: draws_of(20000, seed=1).uniform("a", 1),
        lambda: draws_of(20000, epoch=1).uniform("a", 1),
        lambda: draws_of(20000).fork("a").uniform("a", 1),
        lambda: draws_of(20000).fork("b").uniform("a", 1),
    ],
    ids=["name", "seed", "epoch", "fork", "another fork"],
)
def test_other_names_seeds_epochs_and_forks_give_unrelated_numbers(other):
    pair = torch.stack((draws_of(20000).uniform("a", 1)[:, 0], other()[:, 0]))
    assert abs(torch.corrcoef(pair)[0, 1]) < 4 / math.sqrt(20000)


def test_seed_and_epoch_names_and_forks_are_not_interchangeable():
    index = torch.tensor([5])
    numbers = [
        Draws(1, 2, index).uniform("a", 1),
        Draws(2, 1, index).uniform("a", 1),
        Draws(1, 2, index).fork("a").uniform("b", 1),
        Draws(1, 2, index).fork("b").uniform("a", 1),
        Draws(1, 2, index).fork("a").fork("b").uniform("c", 1),
        Draws(1, 2, index).fork("ab").uniform("c", 1),
        Draws(1, 2, index).fork("a', 'b").uniform("c", 1),
    ]
    assert len({number.item() for number in numbers}) == len(numbers)


def test_normal_has_the_normal_distribution():
    numbers = grid("normal").flatten()
    assert numbers.dtype == torch.float32
    assert stats.kstest(numbers[:20000].numpy(), "norm").pvalue > 1e-3
    assert abs(numbers.mean()) < 4 / math.sqrt(len(numbers))
    assert abs(numbers.var() - 1) < 4 * math.sqrt(2 / len(numbers))


def test_normal_is_finite_and_symmetric_for_every_pattern_of_bits(monkeypatch):
    extremes = torch.tensor([[0, -1, 2**63 - 1, -(2**63)]])  # all zeros, all ones, the middle from below and above
    monkeypatch.setattr(Draws, "_bits", lambda self, name, columns: extremes)
    least, greatest, below, above = draws_of(1).normal("z", 4)[0].tolist()
    assert least == pytest.approx(stats.norm.ppf(2.0**-24), rel=1e-2)
    assert (greatest, above) == (-least, -below)
    assert 0 < above < 1e-6


def test_uniform_stays_below_one_for_every_pattern_of_bits(monkeypatch):
    monkeypatch.setattr(Draws, "_bits", lambda self, name, columns: torch.tensor([[0, -1]]))
    assert draws_of(1).uniform("u", 2).tolist() == [[0.0, 1 - 2.0**-24]]


def test_integers_are_even_below_each_images_own_bound():
    high = torch.tensor([1, 2, 3, 7, 10]).repeat(4000)
    numbers = draws_of(len(high)).integers("pick", high)
    assert numbers.dtype == torch.int64
    for bound in (1, 2, 3, 7, 10):
        counts = torch.bincount(numbers[high == bound])
        assert len(counts) == bound
        assert bound == 1 or stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_integers_take_one_bound_for_all_and_reach_beyond_32_bits():
    numbers = draws_of(1000).integers("pick", 2**62)
    assert numbers.min() >= 0
    assert 2**61 < numbers.max() < 2**62


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**63),
    epoch=st.integers(0, 10**6),
    index=st.lists(st.integers(0, 2**62), min_size=1, max_size=9),
)
def test_an_images_numbers_do_not_depend_on_its_batch(seed, epoch, index):
    together = Draws(seed, epoch, torch.tensor(index))
    for row, one in enumerate(index):
        alone = Draws(seed, epoch, torch.tensor([one]))
        assert torch.equal(together.uniform("a", 2)[row], alone.uniform("a", 2)[0])
        assert torch.equal(together.normal("a", 2)[row], alone.normal("a", 2)[0])
        assert torch.equal(together.integers("a", 99)[row], alone.integers("a", 99)[0])


def test_more_columns_begin_with_the_fewer():
    assert torch.equal(draws_of(3).uniform("a", 5)[:, :2], draws_of(3).uniform("a", 2))


def test_drawing_does_not_change_the_global_generator():
    before = torch.get_rng_state()
    draws_of(3).normal("a", 2)
    assert torch.equal(torch.get_rng_state(), before)
