import torch

from triptych.data.images import Split
from triptych.evaluation.measuring.outputs import model_outputs, reconstructions
from triptych.models import ImageEncoder, ImageTransformer, MultiTaskImageTransformer

SHAPE = {
    "image_size": (8, 8),
    "in_channels": 1,
    "num_classes": 3,
    "embedding_dim": 6,
    "pixel_mean": 0.5,
    "pixel_std": 0.2,
}


def encoder() -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(
        image_size=(8, 8), in_channels=1, patch_size=4, patch_embedding="linear", embed_dim=8, num_heads=2,
        num_layers=1, mlp_ratio=2.0, dropout=0.5,
    )  # fmt: skip


def two_panels() -> ImageTransformer:
    return ImageTransformer(encoder(), **SHAPE).train()


def three_panels() -> MultiTaskImageTransformer:
    model = MultiTaskImageTransformer(encoder(), **SHAPE, latent_dim=4, decoder_dim=4, principal_components=3).train()
    torch.nn.init.normal_(model.decoder.pixels.weight, std=0.1)  # as after the first steps
    return model


def split(size: int) -> Split:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (size, 1, 8, 8), generator=generator).to(torch.uint8)
    return Split(pixels, torch.arange(size) % 3)


def test_the_outputs_are_those_of_the_evaluating_model_in_the_order_of_the_split() -> None:
    # More images than fit in a batch, and a model that was left in training mode.
    images = split(700)
    model = three_panels()

    outputs = model_outputs(model, images)

    with torch.no_grad():
        one_by_one = [model.eval()(image[None].float() / 255) for image in images.images]
    for name, found in (
        ("embedding", outputs.embeddings),
        ("logits", outputs.logits),
        ("mean", outputs.reconstructed.mean),
        ("log_variance", outputs.reconstructed.log_variance),
    ):
        assert torch.allclose(found, torch.cat([getattr(output, name) for output in one_by_one]), atol=1e-5)
    reconstructed = torch.cat([output.reconstruction for output in one_by_one])
    errors = ((reconstructed - images.images.float() / 255) ** 2).mean(dim=(1, 2, 3))
    assert torch.allclose(outputs.reconstructed.mse, errors, atol=1e-5)
    assert torch.allclose(reconstructions(model, images.images), reconstructed, atol=1e-5)
    assert torch.equal(outputs.labels, images.labels)
    assert torch.allclose(outputs.probabilities.sum(1), torch.ones(700))


def test_a_model_without_a_decoder_reconstructs_nothing() -> None:
    outputs = model_outputs(two_panels(), split(5))

    assert outputs.reconstructed is None
    assert outputs.embeddings.shape == (5, 6)
    assert len(outputs) == 5


def test_a_posterior_sample_is_worse_than_its_mean_by_the_noise_and_reproducible() -> None:
    model = three_panels()
    with torch.no_grad():
        model.latent_head.log_variance.bias.fill_(2.0)

    first, again = model_outputs(model, split(40)).reconstructed, model_outputs(model, split(40)).reconstructed

    assert torch.equal(first.sampled_mse, again.sampled_mse)
    assert not torch.allclose(first.sampled_mse, first.mse)
