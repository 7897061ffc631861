import torch

from triptych.metrics.sampling import sampled_rows


def test_a_sample_is_even_seeded_and_without_doubles():
    rows = sampled_rows(1000, at_most=300, seed=5)
    assert len(rows.unique()) == len(rows) == 300
    assert rows.equal(rows.sort().values)
    assert rows.equal(sampled_rows(1000, at_most=300, seed=5))
    assert not rows.equal(sampled_rows(1000, at_most=300, seed=6))
    counts = torch.stack([sampled_rows(10, at_most=3, seed=seed).bincount(minlength=10) for seed in range(1000)]).sum(0)
    assert counts.min() > 240
    assert counts.max() < 360


def test_few_rows_are_all_taken():
    assert sampled_rows(4, at_most=4, seed=0).tolist() == [0, 1, 2, 3]
