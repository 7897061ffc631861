import copy

import pytest
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA

from triptych.models.latent import reparameterise


@pytest.mark.parametrize("patch_embedding", ["convolutional", "linear"])
@pytest.mark.parametrize(
    ("image_size", "channels", "patch_size"),
    [((8, 8), 1, 2), ((28, 28), 1, 4), ((28, 28), 1, 7), ((32, 32), 3, 8), ((12, 20), 5, 4), ((96, 96), 3, 16)],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_every_output_has_its_documented_shape(
    make_multitask, patch_embedding, image_size, channels, patch_size, batch
):
    model = make_multitask(
        patch_embedding=patch_embedding, image_size=image_size, in_channels=channels, patch_size=patch_size
    )
    output = model(torch.rand(batch, channels, *image_size))
    assert output.embedding.shape == (batch, 6)
    assert output.logits.shape == (batch, 5)
    assert output.reconstruction.shape == (batch, channels, *image_size)
    assert output.mean.shape == output.log_variance.shape == output.latent.shape == (batch, 4 + 3)
    torch.testing.assert_close(output.embedding.norm(dim=1), torch.ones(batch))


def test_evaluation_uses_the_mean_and_is_deterministic(make_multitask):
    model = make_multitask(dropout=0.5).eval()
    images = torch.rand(4, 1, 8, 8)
    first, second = model(images), model(images, noise=torch.randn(4, 7))
    assert torch.equal(first.latent, first.mean)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def test_training_samples_the_latent_and_the_embedding_reads_learned_dimensions(make_multitask):
    model = make_multitask().train()
    images, noise = torch.rand(4, 1, 8, 8), torch.randn(4, 7)
    output = model(images, noise)
    latent = output.mean + torch.exp(0.5 * output.log_variance) * noise
    torch.testing.assert_close(output.latent, latent)
    embedding = model.embedding_head(latent[:, :4])
    torch.testing.assert_close(output.embedding, embedding)
    torch.testing.assert_close(output.logits, model.classification_head(embedding))
    torch.testing.assert_close(output.reconstruction, model.decode(latent))


def test_noise_that_is_not_given_comes_from_the_default_generator(make_multitask):
    model = make_multitask().train()
    images = torch.rand(4, 1, 8, 8)
    torch.manual_seed(1)
    drawn = model(images).latent
    torch.manual_seed(1)
    mean, log_variance = model.encode(images)
    torch.testing.assert_close(drawn, reparameterise(mean, log_variance, torch.randn(4, 7)))
    assert not torch.equal(drawn, model(images).latent)


def test_the_methods_equal_forward_in_evaluation(make_multitask):
    model = make_multitask().eval()
    images = torch.rand(4, 1, 8, 8)
    expected = model(images)
    mean, log_variance = model.encode(images)
    assert torch.equal(mean, expected.mean)
    assert torch.equal(log_variance, expected.log_variance)
    assert torch.equal(model.embed(images), expected.embedding)
    assert torch.equal(model.classify(images), expected.logits)
    assert torch.equal(model.reconstruct(images), expected.reconstruction)
    assert torch.equal(model.decode(mean), expected.reconstruction)


def test_the_methods_use_the_mean_and_no_noise_in_training(make_multitask):
    model = make_multitask().train()
    images = torch.rand(4, 1, 8, 8)
    output = model(images)
    torch.testing.assert_close(model.encode(images), (output.mean, output.log_variance))
    embedding = model.embedding_head(output.mean[:, :4])
    torch.testing.assert_close(model.embed(images), embedding)
    torch.testing.assert_close(model.classify(images), model.classification_head(embedding))
    torch.testing.assert_close(model.reconstruct(images), model.decode(output.mean))


def prepared(model):
    """Give a model its filters and components, and a decoder that adds something to the components at once."""
    model.prepare(torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8), seed=0)
    torch.nn.init.normal_(model.decoder.pixels.weight, std=0.1)
    return model


@pytest.mark.parametrize("components", [0, 3])
def test_gradients_reach_every_parameter(make_multitask, components):
    model = prepared(make_multitask(principal_components=components)).train()
    output = model(torch.rand(16, 1, 8, 8))
    loss = F.cross_entropy(output.logits, torch.arange(16) % 5) + output.reconstruction.square().mean()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize(
    ("panel", "components", "reached"),
    [
        ("embedding", 3, {"encoder", "latent_head", "embedding_head"}),
        ("logits", 3, {"encoder", "latent_head", "embedding_head", "classification_head"}),
        ("reconstruction", 3, {"latent_head.fixed_log_variance", "decoder"}),
        ("reconstruction", 0, {"encoder", "latent_head", "decoder"}),
    ],
)
def test_each_loss_trains_its_parts_and_pixels_the_encoder_only_without_components(
    make_multitask, panel, components, reached
):
    model = prepared(make_multitask(principal_components=components)).train()
    output = model(torch.rand(4, 1, 8, 8))
    (getattr(output, panel) * torch.randn_like(getattr(output, panel))).sum().backward()
    with_gradient = {
        name for name, parameter in model.named_parameters() if parameter.grad is not None and parameter.grad.any()
    }
    assert {name for name in with_gradient if not name.startswith(tuple(reached))} == set()
    assert {part for part in reached if any(name.startswith(part) for name in with_gradient)} == reached


def test_the_first_reconstruction_is_that_of_the_components(make_multitask):
    model = make_multitask(principal_components=8).eval()
    strengths = torch.logspace(0, -3, 64)  # as natural images: components of falling variance
    generator = torch.Generator().manual_seed(0)
    points = (torch.randn(50, 64, generator=generator) * strengths) @ torch.randn(64, 64, generator=generator)
    images = (128 + 20 * points).clamp(0, 255).to(torch.uint8).reshape(50, 1, 8, 8)
    model.prepare(images, seed=0)
    pixels = images.float() / 255
    peer = PCA(8, svd_solver="full").fit(pixels.flatten(1))
    expected = torch.from_numpy(peer.inverse_transform(peer.transform(pixels.flatten(1)))).reshape(pixels.shape)
    torch.nn.init.zeros_(model.decoder.pixels.bias)
    torch.testing.assert_close(model.reconstruct(pixels), (4 * (expected.float() - 0.5)).sigmoid(), atol=2e-3, rtol=0)


@pytest.mark.parametrize("patch_embedding", ["convolutional", "linear"])
def test_an_image_is_seen_by_itself_whatever_the_batch(make_multitask, patch_embedding):
    model = prepared(make_multitask(patch_embedding=patch_embedding)).train()
    model(torch.rand(16, 1, 8, 8))  # running statistics that are neither zero nor one
    images = torch.rand(6, 1, 8, 8)
    together = model.eval()(images)
    for i in range(6):
        alone = model(images[i : i + 1])
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[i : i + 1], other)


def test_samples_are_prior_latents_decoded(make_multitask):
    model = prepared(make_multitask()).eval()
    samples = model.sample(3, torch.Generator().manual_seed(7))
    latent = torch.randn(3, 7, generator=torch.Generator().manual_seed(7))
    assert samples.shape == (3, 1, 8, 8)
    assert torch.equal(samples, model.decode(latent))
    assert torch.equal(samples, model.sample(3, generator=torch.Generator().manual_seed(7)))
    assert not torch.equal(samples, model.sample(3))


def test_pixels_are_standardised_inside(make_multitask):
    model = make_multitask(pixel_mean=0.5, pixel_std=0.25).eval()
    plain = make_multitask(pixel_mean=0.0, pixel_std=1.0).eval()
    plain.load_state_dict({**model.state_dict(), "pixels.mean": plain.pixels.mean, "pixels.std": plain.pixels.std})
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(model.embed(images), plain.embed((images - 0.5) / 0.25))


def test_a_saved_model_answers_as_before(make_multitask, tmp_path):
    model, other = make_multitask(pixel_mean=0.1).eval(), make_multitask(pixel_mean=0.2).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    images = torch.rand(2, 1, 8, 8)
    for one, two in zip(model(images), other(images), strict=True):
        assert torch.equal(one, two)
    assert torch.equal(copy.deepcopy(model)(images).logits, model(images).logits)


def test_double_precision_is_kept_from_image_to_reconstruction(make_multitask):
    output = make_multitask().double()(torch.rand(2, 1, 8, 8, dtype=torch.float64))
    assert {part.dtype for part in output} == {torch.float64}


def test_bfloat16_autocast_gives_float32_outputs_near_the_exact_ones(make_multitask):
    model = make_multitask().eval()
    images = torch.rand(4, 1, 8, 8)
    exact = model(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(images)
    for one, other in zip(rounded, exact, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=0.1, rtol=0.1)


def test_a_step_is_the_same_twice_under_deterministic_algorithms(make_multitask):
    model = make_multitask().train()
    images, noise = torch.rand(8, 1, 8, 8), torch.randn(8, 7)
    gradients = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            model.zero_grad()
            output = model(images, noise)
            (output.logits.square().mean() + output.reconstruction.mean()).backward()
            gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("training", [True, False])
def test_the_forward_pass_is_one_graph_for_the_compiler(make_multitask, training):
    model = make_multitask().train(training)
    images, noise = torch.rand(2, 1, 8, 8), torch.randn(2, 7)
    # The back end "eager" traces the whole graph without needing a C++ compiler.
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for one, other in zip(compiled(images, noise), model(images, noise), strict=True):
        torch.testing.assert_close(one, other)


def test_an_exported_model_takes_any_batch(make_multitask):
    model = make_multitask().eval()
    exported = torch.export.export(model, (torch.rand(2, 1, 8, 8),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    images = torch.rand(5, 1, 8, 8)
    for one, other in zip(exported.module()(images), model(images), strict=True):
        torch.testing.assert_close(one, other)


def test_bytes_and_other_sizes_are_rejected(make_multitask):
    model = make_multitask()
    with pytest.raises(ValueError, match="divide by 255"):
        model(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    for method in (model, model.encode, model.embed, model.classify, model.reconstruct):
        with pytest.raises(ValueError, match=r"must have the shape \(B, 1, 8, 8\), but it is \(2, 3, 8, 8\)"):
            method(torch.rand(2, 3, 8, 8))


def test_noise_of_another_shape_is_rejected(make_multitask):
    with pytest.raises(ValueError, match=r"noise must have the shape \(2, 7\)"):
        make_multitask().train()(torch.rand(2, 1, 8, 8), torch.randn(2, 5))


def test_known_features_stand_in_for_the_encoder(make_multitask):
    model = make_multitask().train()
    images, noise = torch.rand(3, 1, 8, 8), torch.randn(3, 7)
    prepared(model)
    expected, features = model(images, noise), model.encoder(model.pixels(images))
    model.encoder.forward = None  # it is not called, and the components still see the images
    for one, other in zip(model(images, noise, features), expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("image_size", "channels", "patch_size"),
    [((32, 32), 16, 8), ((384, 384), 3, 32), ((96, 384), 1, 32), ((224, 128), 2, 16)],
)
def test_any_size_and_any_channels_make_a_step(make_multitask, image_size, channels, patch_size):
    model = make_multitask(
        image_size=image_size, in_channels=channels, patch_size=patch_size, activation_checkpointing=True
    ).train()
    images = torch.randint(0, 256, (2, channels, *image_size), dtype=torch.uint8)
    model.prepare(images, seed=0)
    output = model(images.float() / 255)
    (output.logits.square().mean() + (output.reconstruction - images.float() / 255).square().mean()).backward()
    assert output.reconstruction.shape == images.shape
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
