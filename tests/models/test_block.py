import pytest
import torch
import torch.nn.functional as F

from triptych.models.block import DepthwiseTokenConvolution, TransformerBlock


def make_block(*, depthwise_convolution: bool = True, dropout: float = 0.0) -> TransformerBlock:
    return TransformerBlock(
        8, grid=(3, 4), num_heads=2, mlp_ratio=1.5, depthwise_convolution=depthwise_convolution, dropout=dropout
    )


@pytest.mark.parametrize("grid", [(3, 4), (1, 1), (1, 5), (4, 4)])
def test_the_token_convolution_equals_nine_taps_written_out(grid):
    rows, columns = grid
    module = DepthwiseTokenConvolution(6, grid=grid)
    tokens = torch.randn(2, rows * columns, 6)
    image = tokens.reshape(2, rows, columns, 6)
    expected = module.convolution.bias.repeat(2, rows, columns, 1)
    for row in range(rows):
        for column in range(columns):
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    if 0 <= row + down < rows and 0 <= column + right < columns:
                        tap = module.convolution.weight[:, 0, down + 1, right + 1]
                        expected[:, row, column] = expected[:, row, column] + tap * image[:, row + down, column + right]
    torch.testing.assert_close(module(tokens), expected.flatten(1, 2))


def test_a_block_adds_attention_then_convolution_then_mlp_to_its_stream():
    block = make_block()
    tokens = torch.randn(2, 12, 8)
    stream = tokens + block.attention(F.layer_norm(tokens, (8,)))
    stream = stream + block.convolution(stream)
    hidden = F.silu(block.mlp.hidden(F.layer_norm(stream, (8,))))
    assert hidden.shape[-1] == 12
    torch.testing.assert_close(block(tokens), stream + block.mlp.output(hidden))


def test_without_the_convolution_tokens_have_no_neighbours():
    block = make_block(depthwise_convolution=False)
    tokens, order = torch.randn(1, 12, 8), torch.randperm(12)
    torch.testing.assert_close(block(tokens[:, order]), block(tokens)[:, order])
    with_convolution = make_block()
    assert not torch.allclose(with_convolution(tokens[:, order]), with_convolution(tokens)[:, order])


def test_dropout_acts_in_training_only():
    block = make_block(dropout=0.5)
    tokens = torch.randn(2, 12, 8)
    assert not torch.equal(block(tokens), block(tokens))
    block.eval()
    assert torch.equal(block(tokens), block(tokens))
