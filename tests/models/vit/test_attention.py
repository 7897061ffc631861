import math

import pytest
import torch

from triptych.models.vit.attention import MultiHeadSelfAttention


def naive_attention(module: MultiHeadSelfAttention, tokens: torch.Tensor) -> torch.Tensor:
    """Attention as the paper writes it: for each image and head, softmax(Q Kᵀ / √d) V."""
    count, width = tokens.shape[1:]
    size = width // module.num_heads
    weight, bias = module.query_key_value.weight, module.query_key_value.bias
    results = []
    for image in tokens:
        heads = []
        for head in range(module.num_heads):
            query, key, value = (
                image @ weight[start : start + size].T + bias[start : start + size]
                for start in (head * size, width + head * size, 2 * width + head * size)
            )
            scores = torch.empty(count, count, dtype=tokens.dtype)
            for i in range(count):
                for j in range(count):
                    scores[i, j] = (query[i] * key[j]).sum() / math.sqrt(size)
            heads.append((scores.exp() / scores.exp().sum(dim=1, keepdim=True)) @ value)
        results.append(torch.cat(heads, dim=1) @ module.output.weight.T + module.output.bias)
    return torch.stack(results)


@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_attention_equals_the_formula_written_out(num_heads):
    module = MultiHeadSelfAttention(8, num_heads=num_heads).double()
    tokens = 3 * torch.randn(2, 5, 8, dtype=torch.float64)
    torch.testing.assert_close(module(tokens), naive_attention(module, tokens))


def test_in_bfloat16_on_a_cpu_value_and_gradient_equal_the_formula_within_rounding():
    exact = MultiHeadSelfAttention(8, num_heads=2).double()
    half = MultiHeadSelfAttention(8, num_heads=2)
    half.load_state_dict(exact.state_dict())
    tokens = torch.randn(2, 5, 8, dtype=torch.float64, requires_grad=True)
    rounded = tokens.detach().float().requires_grad_()
    naive_attention(exact, tokens).square().sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = half(rounded)
    mixed.square().sum().backward()
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.grad.double(), tokens.grad, atol=0.05 * tokens.grad.abs().max().item(), rtol=0)


def test_the_order_of_the_tokens_does_not_matter_to_attention():
    module = MultiHeadSelfAttention(8, num_heads=2)
    tokens, order = torch.randn(2, 6, 8), torch.randperm(6)
    torch.testing.assert_close(module(tokens[:, order]), module(tokens)[:, order])


def test_heads_that_do_not_divide_the_width_are_rejected_with_a_width_that_does():
    with pytest.raises(ValueError, match=r"7 does not divide 96; choose embed_dim 91 or another number of heads"):
        MultiHeadSelfAttention(96, num_heads=7)


@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_the_weights_are_shares_that_give_what_the_fused_kernel_gives(num_heads):
    module = MultiHeadSelfAttention(8, num_heads=num_heads).double()
    tokens = 3 * torch.randn(2, 5, 8, dtype=torch.float64)
    weights = module.weights(tokens)
    values = module.query_key_value(tokens)[..., 16:].reshape(2, 5, num_heads, 8 // num_heads)
    attended = torch.stack([weights[:, head] @ values[:, :, head] for head in range(num_heads)], dim=2)

    assert weights.shape == (2, num_heads, 5, 5)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, num_heads, 5, dtype=torch.float64))
    torch.testing.assert_close(module.output(attended.flatten(2)), module(tokens))


def test_the_messages_weighted_and_summed_over_heads_are_the_output_without_its_bias():
    module = MultiHeadSelfAttention(8, num_heads=2).double()
    tokens = torch.randn(2, 5, 8, dtype=torch.float64)
    gathered = (module.weights(tokens) @ module.messages(tokens)).sum(1)
    torch.testing.assert_close(gathered + module.output.bias, module(tokens))


def test_a_head_that_matches_one_token_looks_at_it_alone():
    module = MultiHeadSelfAttention(4, num_heads=1)
    with torch.no_grad():
        module.query_key_value.bias.zero_()
        module.query_key_value.weight.copy_(torch.eye(4).repeat(3, 1))
    weights = module.weights(100 * torch.eye(4)[None])
    torch.testing.assert_close(weights, torch.eye(4)[None, None])
