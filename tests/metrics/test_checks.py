import pytest
import torch

from triptych.metrics.checks import in_double, require_whole_number


def test_a_double_copy_has_no_gradient_and_is_a_copy():
    rows = torch.ones(2, 2, dtype=torch.float64, requires_grad=True)
    copy = in_double(rows)
    copy += 1
    assert not copy.requires_grad
    assert rows.tolist() == [[1, 1], [1, 1]]
    assert in_double(torch.tensor([True])).dtype == torch.float64


@pytest.mark.parametrize("number", [0, 1.0, True, "2", None])
def test_what_is_no_whole_number_is_refused(number):
    with pytest.raises(ValueError, match="rows must be a whole number of at least 1, but it is"):
        require_whole_number("rows", number, least=1)
