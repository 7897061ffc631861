import pytest
import torch

from triptych.models import model_summary


def test_the_encoder_is_counted_as_by_hand(make_simple):
    summary = model_summary(make_simple())
    parts = {part.name: part for part in summary.parts}

    # Whitening 2x2, 1 -> 4 filters of both signs, in every place of 8x8; then one stage: 3x3, 8 -> 16 channels on 8x8,
    # and 3x3, 16 -> 16 on the 4x4 that are left, with a shift for each normalisation. A multiply-add is two.
    assert parts["patch embedding"].parameters == 9 * 8 * 16 + 16 + 9 * 16 * 16 + 16
    assert parts["patch embedding"].flops == 2 * 64 * 4 * 4 + 2 * 64 * 9 * 8 * 16 + 2 * 16 * 9 * 16 * 16

    # Two blocks of width 16 on 16 tokens, two heads of 8, hidden 32.
    attention = 16 * 48 + 48 + 16 * 16 + 16
    mlp = 16 * 32 + 32 + 32 * 16 + 16
    norms = 2 * 2 * 16
    assert parts["encoder"].parameters == 2 * (attention + mlp + norms) + 2 * 16
    projections = 2 * 16 * (16 * 48 + 16 * 16 + 16 * 32 + 32 * 16)
    scores_and_sums = 2 * (2 * 2 * 16 * 16 * 8)
    assert parts["encoder"].flops == 2 * (projections + scores_and_sums)

    # Embedding head 16 -> 12 -> 6 and classifier 6 -> 5 with its scale.
    assert parts["embedding head"].parameters == 16 * 12 + 12 + 12 * 6 + 6
    assert parts["embedding head"].flops == 2 * (16 * 12 + 12 * 6)
    assert parts["classifier"].parameters == 6 * 5 + 5 + 1
    assert parts["classifier"].flops == 2 * 6 * 5


def test_an_image_is_counted_once_with_mirror_averaging_too(make_multitask):
    model = make_multitask()
    plain = model_summary(model)
    model.encoder.mirror_averaging = True

    assert model_summary(model) == plain
    assert model.encoder.mirror_averaging


def test_the_latent_is_counted_as_by_hand(make_multitask):
    parts = {part.name: part for part in model_summary(make_multitask()).parts}
    assert parts["latent"].parameters == 2 * (16 * 4 + 4) + 3
    assert parts["latent"].flops == 2 * 2 * 16 * 4


def test_the_components_cost_a_product_in_and_one_out(make_multitask):
    parts = {part.name: part for part in model_summary(make_multitask()).parts}
    assert parts["components"].parameters == 0
    assert parts["components"].flops == 2 * 2 * 64 * 3


def test_the_parts_add_up_to_the_total(make_multitask, make_simple):
    for model in (make_multitask(), make_simple(), make_multitask(principal_components=0)):
        summary = model_summary(model)
        assert sum(part.parameters for part in summary.parts) == summary.total.parameters
        assert sum(part.flops for part in summary.parts) == summary.total.flops
        assert summary.total.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_the_decoder_costs_little_beside_the_encoder(make_multitask):
    model = make_multitask(
        image_size=(32, 32), patch_size=8, embed_dim=96, num_heads=3, num_layers=4, latent_dim=32, decoder_dim=32
    )
    flops = {part.name: part.flops for part in model_summary(model).parts}
    assert flops["decoder"] <= 0.15 * (flops["encoder"] + flops["patch embedding"])


def test_counting_changes_neither_modes_nor_randomness(make_multitask):
    model = make_multitask(dropout=0.5).train()
    model.decoder.eval()
    state = torch.get_rng_state()
    model_summary(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert model.encoder.training
    assert not model.decoder.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_table_has_a_row_for_each_part_and_a_total(make_multitask):
    lines = model_summary(make_multitask().double()).format().splitlines()
    assert [line[:20].strip() for line in lines] == [
        "part", "patch embedding", "encoder", "latent", "embedding head", "classifier", "decoder", "components",
        "total",
    ]  # fmt: skip
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("image_size", "channels", "patch_size"),
    [((128, 128), 3, 16), ((224, 320), 3, 16), ((384, 384), 1, 32), ((64, 64), 16, 8)],
)
def test_at_large_sizes_the_decoder_costs_at_most_fifteen_percent_of_the_encoder(
    make_multitask, image_size, channels, patch_size
):
    model = make_multitask(
        image_size=image_size, in_channels=channels, patch_size=patch_size, embed_dim=96, num_heads=3, num_layers=4,
        latent_dim=32, decoder_dim=32,
    )  # fmt: skip
    flops = {part.name: part.flops for part in model_summary(model).parts}
    assert flops["decoder"] + flops["components"] <= 0.15 * (flops["encoder"] + flops["patch embedding"])
