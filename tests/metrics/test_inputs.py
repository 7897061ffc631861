import pytest
import torch

from triptych.metrics.inputs import in_double, require_whole_number, sampled_rows


def test_a_double_copy_has_no_gradient_and_is_a_copy():
    rows = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
    copy = in_double(rows)
    copy += 1
    assert not copy.requires_grad
    assert rows.tolist() == [[1, 1], [1, 1]]
    assert in_double(torch.tensor([True])).dtype == torch.float64


@pytest.mark.parametrize("number", [0, 1.0, True, "2", None])
def test_what_is_no_whole_number_is_rejected(number):
    with pytest.raises(ValueError, match="rows must be a whole number of at least 1, but it is"):
        require_whole_number("rows", number, least=1)


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
