import pytest
import torch
from torch import nn

from triptych.models.vit.encoder import ImageEncoder
from triptych.models.vit.positions import sine_cosine_positions


@pytest.mark.parametrize("patch_embedding", ["convolutional", "linear"])
@pytest.mark.parametrize(
    ("image_size", "channels", "patch_size"),
    [
        ((8, 8), 1, 1),
        ((8, 8), 1, 8),
        ((9, 6), 3, 3),
        ((15, 10), 1, 5),
        ((28, 28), 1, 7),
        ((32, 32), 3, 8),
        ((12, 20), 2, 4),
        ((30, 18), 16, 6),
        ((24, 36), 3, 12),
        ((32, 48), 3, 16),
    ],
)
def test_any_size_that_patches_divide_and_any_channels_give_one_vector_an_image(
    encoder_sizes, patch_embedding, image_size, channels, patch_size
):
    encoder = ImageEncoder(
        **encoder_sizes
        | {
            "image_size": image_size,
            "in_channels": channels,
            "patch_size": patch_size,
            "patch_embedding": patch_embedding,
        }
    )
    images = torch.randn(3, channels, *image_size)
    count = image_size[0] * image_size[1] // patch_size**2
    assert encoder.tokens(images).shape == (3, count, 16)
    assert encoder(images).shape == (3, encoder.output_dim) == (3, 16)


def test_the_features_are_the_mean_of_the_normalised_tokens(encoder_sizes):
    encoder = ImageEncoder(**encoder_sizes)
    images = torch.randn(2, 1, 8, 8)
    tokens = encoder.patch_embedding(images) + sine_cosine_positions(4, 4, embed_dim=16)
    for block in encoder.blocks:
        tokens = block(tokens)
    normalised = (tokens - tokens.mean(-1, keepdim=True)) / (tokens.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(encoder(images), sum(normalised[:, n] for n in range(16)) / 16)


def test_with_mirror_averaging_an_image_and_its_mirror_image_have_the_same_features(encoder_sizes):
    plain, averaging = ImageEncoder(**encoder_sizes), ImageEncoder(**encoder_sizes, mirror_averaging=True)
    averaging.load_state_dict(plain.state_dict())
    images = torch.randn(3, 1, 8, 8)

    torch.testing.assert_close(averaging(images), plain(images))  # training mode
    plain.eval(), averaging.eval()
    torch.testing.assert_close(averaging(images), (plain(images) + plain(images.flip(3))) / 2)
    torch.testing.assert_close(averaging(images), averaging(images.flip(3)))
    assert (plain(images) - plain(images.flip(3))).abs().max() > 1e-3


def naive_shares(block, tokens):
    """Kobayashi's shares for one image's tokens (N, D), one pair of tokens at a time."""
    normalised = block.attention_norm(tokens)[None]
    weights, messages = block.attention.weights(normalised)[0], block.attention.messages(normalised)[0]
    count = len(tokens)
    lengths = torch.empty(count, count)
    for m in range(count):
        for n in range(count):
            moved = sum(weight[m, n] * message[n] for weight, message in zip(weights, messages, strict=True))
            lengths[m, n] = (moved + tokens[m] if m == n else moved).norm()
    return lengths / lengths.sum(1, keepdim=True)


def test_the_attention_map_is_the_product_of_the_blocks_shares_averaged_over_tokens(encoder_sizes):
    encoder = ImageEncoder(**encoder_sizes | {"image_size": (8, 12)}).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    images = torch.randn(3, 1, 8, 12)
    maps = encoder.attention_maps(images)

    assert maps.shape == (3, 4, 6)
    for image, drawn in zip(images, maps, strict=True):
        tokens = (encoder.patch_embedding(image[None]) + encoder.positions)[0]
        rollout = torch.eye(24)
        for block in encoder.blocks:
            rollout = naive_shares(block, tokens) @ rollout
            tokens = block(tokens[None])[0]
        torch.testing.assert_close(drawn.flatten(), rollout.mean(0))


def test_the_shares_of_an_attention_map_sum_to_one(encoder_sizes):
    maps = ImageEncoder(**encoder_sizes).eval().attention_maps(torch.randn(5, 1, 8, 8))
    assert (maps >= 0).all()
    torch.testing.assert_close(maps.sum((1, 2)), torch.ones(5))


def test_an_attention_map_shows_the_token_that_all_attend_to(encoder_sizes):
    encoder = ImageEncoder(**encoder_sizes | {"num_layers": 1, "num_heads": 1, "patch_embedding": "linear"}).eval()
    attention, width = encoder.blocks[0].attention, 16
    with torch.no_grad():
        tokens = encoder.blocks[0].attention_norm(encoder.patch_embedding(torch.zeros(1, 1, 8, 8)) + encoder.positions)
        attention.query_key_value.weight[: 2 * width].zero_()
        attention.query_key_value.bias[:width] = 100 * tokens[0, 6]  # every query asks for what token 6 is
        attention.query_key_value.weight[width : 2 * width] = torch.eye(width)
        attention.query_key_value.weight[2 * width :] = 100 * torch.eye(width)
        attention.output.weight.copy_(torch.eye(width))
        said = encoder.attention_maps(torch.zeros(1, 1, 8, 8)).flatten()
        attention.query_key_value.weight[2 * width :] = 0
        silent = encoder.attention_maps(torch.zeros(1, 1, 8, 8)).flatten()

    assert said.argmax() == 6
    assert said[6] > 0.9
    torch.testing.assert_close(silent, torch.full((16,), 1 / 16))


def test_the_encoder_knows_where_a_patch_lies(encoder_sizes):
    encoder = ImageEncoder(**encoder_sizes | {"patch_embedding": "linear"})
    images = torch.randn(1, 1, 8, 8)
    moved = images.roll((2, 4), dims=(2, 3))  # the same patches at other places
    assert not torch.allclose(encoder.tokens(images).mean(1), encoder.tokens(moved).mean(1), atol=1e-5)


def test_positions_are_not_saved_with_the_weights(encoder_sizes):
    assert "positions" not in ImageEncoder(**encoder_sizes).state_dict()


@pytest.mark.parametrize("num_layers", [1, 16])
def test_the_scale_of_the_stream_does_not_grow_with_depth(encoder_sizes, num_layers):
    encoder = ImageEncoder(**encoder_sizes | {"num_layers": num_layers, "embed_dim": 64})
    streams = []
    encoder.norm.register_forward_pre_hook(lambda module, inputs: streams.append(inputs[0]))
    images = torch.randn(4, 1, 8, 8)
    encoder(images)
    first = encoder.patch_embedding(images) + encoder.positions
    assert 0.8 < (streams[0].std() / first.std()) < 1.25


def test_weights_are_truncated_normal_and_smaller_where_they_enter_the_stream(encoder_sizes):
    encoder = ImageEncoder(**encoder_sizes | {"num_layers": 8, "embed_dim": 64})
    for block in encoder.blocks:
        for module in block.modules():
            if isinstance(module, nn.Linear):
                assert module.weight.abs().max() <= 0.04
                assert (module.bias == 0).all()
        # Truncation at two deviations shrinks a deviation to 0.88 of itself.
        assert block.mlp.hidden.weight.std().item() == pytest.approx(0.88 * 0.02, rel=0.05)
        assert block.mlp.output.weight.std().item() == pytest.approx(0.88 * 0.02 / 4, rel=0.05)
        assert block.attention.output.weight.std().item() == pytest.approx(0.88 * 0.02 / 4, rel=0.05)


def test_an_unknown_patch_embedding_is_rejected_with_the_known_ones(encoder_sizes):
    with pytest.raises(ValueError, match=r"one of \['convolutional', 'linear'\], but it is 'conv'; choose"):
        ImageEncoder(**encoder_sizes | {"patch_embedding": "conv"})


def test_a_size_that_patches_do_not_divide_is_rejected_when_the_encoder_is_made(encoder_sizes):
    with pytest.raises(ValueError, match="3 does not divide 8x8"):
        ImageEncoder(**encoder_sizes | {"patch_size": 3})


def test_attention_in_a_non_square_grid_of_a_large_image_has_its_shape(encoder_sizes):
    encoder = ImageEncoder(**encoder_sizes | {"image_size": (96, 160), "in_channels": 3, "patch_size": 16}).eval()
    assert encoder.attention_maps(torch.randn(1, 3, 96, 160)).shape == (1, 6, 10)


@pytest.mark.parametrize("patch_embedding", ["convolutional", "linear"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_recomputed_activations_give_the_same_gradients_bit_for_bit(encoder_sizes, patch_embedding, dropout):
    sizes = encoder_sizes | {"patch_embedding": patch_embedding, "dropout": dropout, "patch_size": 4}
    kept, recomputing = ImageEncoder(**sizes), ImageEncoder(**sizes | {"activation_checkpointing": True})
    recomputing.load_state_dict(kept.state_dict())
    images, results = torch.randn(4, 1, 8, 8), []
    for encoder in (kept.train(), recomputing.train()):
        torch.manual_seed(3)
        features = encoder(images)
        features.square().mean().backward()
        results.append([features, *(parameter.grad for parameter in encoder.parameters())])
        results[-1].append(torch.rand(4))
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def kept_bytes(encoder, images):
    """Bytes that the forward pass keeps for the backward pass, beside the parameters."""
    own = {parameter.data_ptr() for parameter in encoder.parameters()} | {images.data_ptr()}
    kept = {}

    def pack(tensor):
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        features = encoder(images)
    return sum(kept.values()), features


@pytest.mark.parametrize("patch_embedding", ["convolutional", "linear"])
def test_recomputing_keeps_a_fraction(encoder_sizes, patch_embedding):
    sizes = encoder_sizes | {
        "image_size": (64, 64),
        "patch_size": 8,
        "num_layers": 4,
        "patch_embedding": patch_embedding,
    }
    images = torch.randn(2, 1, 64, 64)
    kept, _ = kept_bytes(ImageEncoder(**sizes).train(), images)
    recomputing = ImageEncoder(**sizes | {"activation_checkpointing": True})
    fewer, _ = kept_bytes(recomputing.train(), images)
    evaluating, _ = kept_bytes(recomputing.eval(), images)
    assert fewer < 0.35 * kept
    assert evaluating > 0.9 * kept  # nothing is computed twice where nothing is trained


def test_a_recomputing_encoder_is_one_graph_for_the_compiler(encoder_sizes):
    encoder = ImageEncoder(**encoder_sizes | {"activation_checkpointing": True}).train()
    images = torch.randn(2, 1, 8, 8)
    compiled = torch.compile(encoder, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(images), encoder(images))


def trained(encoder):
    """Give an encoder filters, shifts and running statistics as training does."""
    encoder.fit([torch.randn(64, *encoder_shape(encoder))])
    for name, parameter in encoder.named_parameters():
        if name.endswith("norm.bias"):
            nn.init.normal_(parameter, std=0.3)
    for _ in range(3):
        encoder.train()(torch.randn(16, *encoder_shape(encoder)))
    return encoder.eval()


def encoder_shape(encoder):
    side = encoder.patch_embedding.patch_size
    channels = encoder.patch_embedding.whitening.filters.shape[1]
    return channels, encoder.grid[0] * side, encoder.grid[1] * side


@pytest.mark.parametrize(
    ("image_size", "channels", "patch_size"), [((8, 8), 1, 2), ((32, 32), 3, 8), ((24, 36), 3, 12), ((32, 48), 3, 16)]
)
def test_a_folded_encoder_gives_the_same_features(encoder_sizes, image_size, channels, patch_size):
    sizes = {"image_size": image_size, "in_channels": channels, "patch_size": patch_size}
    encoder = trained(ImageEncoder(**encoder_sizes | sizes))
    images = torch.randn(5, channels, *image_size)
    expected = encoder(images)
    encoder.fold()
    torch.testing.assert_close(encoder(images), expected, atol=1e-5, rtol=1e-5)


def test_folding_a_plain_vision_transformer_changes_nothing(encoder_sizes):
    encoder = ImageEncoder(**encoder_sizes | {"patch_embedding": "linear"}).eval()
    images = torch.randn(2, 1, 8, 8)
    expected = encoder(images)
    encoder.fold()
    assert torch.equal(encoder(images), expected)


@pytest.mark.filterwarnings("ignore")
def test_a_folded_encoder_is_the_same_in_onnx_for_any_batch(encoder_sizes, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    sizes = {"image_size": (16, 24), "in_channels": 3, "patch_size": 8}
    encoder = trained(ImageEncoder(**encoder_sizes | sizes))
    encoder.fold()
    torch.onnx.export(
        encoder,
        (torch.randn(2, 3, 16, 24),),
        tmp_path / "encoder.onnx",
        input_names=["images"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 7):
        images = torch.randn(count, 3, 16, 24)
        (features,) = session.run(None, {"images": images.numpy()})
        torch.testing.assert_close(torch.from_numpy(features), encoder(images), atol=1e-4, rtol=1e-4)


def test_a_folded_encoder_is_one_graph_for_the_compiler(encoder_sizes):
    encoder = trained(ImageEncoder(**encoder_sizes))
    encoder.fold()
    images = torch.randn(3, 1, 8, 8)
    expected = encoder(images)
    compiled = torch.compile(encoder, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(images), expected)


@pytest.mark.parametrize("compiled", [False, True])
def test_recomputing_counts_a_batch_once_in_the_running_statistics(encoder_sizes, compiled):
    kept = ImageEncoder(**encoder_sizes).train()
    again = ImageEncoder(**encoder_sizes | {"activation_checkpointing": True}).train()
    again.load_state_dict(kept.state_dict())
    call = torch.compile(again, fullgraph=True, backend="aot_eager") if compiled else again
    for _ in range(2):
        images = torch.randn(4, 1, 8, 8)
        kept(images).square().mean().backward()
        call(images).square().mean().backward()
    for (name, buffer), other in zip(kept.named_buffers(), again.buffers(), strict=True):
        torch.testing.assert_close(other, buffer, msg=name)


def test_training_in_bfloat16_keeps_statistics_and_gradients_in_float32(encoder_sizes):
    exact = ImageEncoder(**encoder_sizes).train()
    encoder = ImageEncoder(**encoder_sizes).train()
    encoder.load_state_dict(exact.state_dict())
    images = torch.randn(16, 1, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = encoder(images)
    expected = exact(images)
    torch.testing.assert_close(features.float(), expected, atol=0.1, rtol=0.1)
    features.float().square().sum().backward()
    expected.square().sum().backward()
    for name, one in encoder.named_parameters():
        assert one.grad.dtype == torch.float32, name
        assert one.grad.isfinite().all(), name
    for (name, one), other in zip(encoder.named_buffers(), exact.buffers(), strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, atol=0.05, rtol=0.05, msg=name)
