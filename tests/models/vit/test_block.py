import torch
import torch.nn.functional as F

from triptych.models.vit.block import TransformerBlock


def make_block(*, dropout: float = 0.0) -> TransformerBlock:
    return TransformerBlock(8, num_heads=2, mlp_ratio=1.5, dropout=dropout)


def test_a_block_adds_attention_then_mlp_to_its_stream():
    block = make_block()
    tokens = torch.randn(2, 12, 8)
    stream = tokens + block.attention(F.layer_norm(tokens, (8,)))
    hidden = F.silu(block.mlp.hidden(F.layer_norm(stream, (8,))))
    assert hidden.shape[-1] == 12
    torch.testing.assert_close(block(tokens), stream + block.mlp.output(hidden))


def test_a_block_does_not_depend_on_the_order_of_its_tokens():
    block = make_block()
    tokens, order = torch.randn(1, 12, 8), torch.randperm(12)
    torch.testing.assert_close(block(tokens[:, order]), block(tokens)[:, order])


def test_dropout_acts_in_training_only():
    block = make_block(dropout=0.5)
    tokens = torch.randn(2, 12, 8)
    assert not torch.equal(block(tokens), block(tokens))
    block.eval()
    assert torch.equal(block(tokens), block(tokens))
