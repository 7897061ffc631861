import pytest
import torch
from torch import nn

from triptych.models.layout import channels_last


@pytest.mark.parametrize(("inputs", "groups"), [(1, 1), (3, 1), (6, 6)])
def test_results_and_gradients_are_channels_last_even_with_one_input_channel(inputs, groups):
    convolution = channels_last(nn.Conv2d(inputs, 6, 3, padding=1, groups=groups))
    result = convolution(torch.rand(2, 4, 4, inputs).permute(0, 3, 1, 2))
    assert result.permute(0, 2, 3, 1).is_contiguous()
    result.sum().backward()
    # DDP copies every gradient whose strides are not those of its weight.
    assert convolution.weight.grad.stride() == convolution.weight.stride()


def test_the_layout_changes_no_number():
    convolution = nn.Conv2d(3, 6, 3)
    weight = convolution.weight.detach().clone()
    assert torch.equal(channels_last(convolution).weight, weight)
