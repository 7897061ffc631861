import pytest
import torch
import torch.nn.functional as F

from triptych.models.decoder import Enlargement, ImageDecoder


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(
    "image_size",
    [(1, 1), (5, 7), (8, 8), (12, 20), (28, 28), (30, 18), (32, 32), (8, 64), (37, 50), (96, 96), (224, 224)],
)
def test_a_latent_becomes_an_image_of_any_size(image_size, channels):
    decoder = ImageDecoder(6, image_size=image_size, out_channels=channels, decoder_dim=4)
    assert decoder(torch.randn(2, 6)).shape == (2, channels, *image_size)


@pytest.mark.parametrize("image_size", [(8, 8), (28, 28), (12, 20), (72, 40)])
def test_every_pixel_depends_on_the_latent_from_the_start(image_size):
    decoder = ImageDecoder(16, image_size=image_size, out_channels=1, decoder_dim=8)
    images = decoder(torch.randn(8, 16)).sigmoid()
    assert (images.std(dim=0) > 1e-3).all()
    assert (images - 0.5).abs().mean() < 0.25


def test_the_decoder_can_reconstruct_any_eight_images():
    targets = (torch.rand(8, 1, 12, 12) > 0.5).float()
    decoder = ImageDecoder(8, image_size=(12, 12), out_channels=1, decoder_dim=16)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        loss = (decoder(4 * torch.eye(8)).sigmoid() - targets).square().mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.01


def test_the_reconstruction_is_float32_under_autocast():
    decoder = ImageDecoder(6, image_size=(8, 8), out_channels=1, decoder_dim=4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert decoder(torch.randn(2, 6)).dtype == torch.float32


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_enlarging_is_linear_interpolation_between_the_centres_of_pixels(factor):
    images = torch.randn(2, 3, 5, 7)
    expected = F.interpolate(images, scale_factor=factor, mode="bilinear", align_corners=False)
    torch.testing.assert_close(Enlargement((5, 7), factor=factor)(images), expected)


@pytest.mark.parametrize(
    ("image_size", "channels"), [((224, 224), 3), ((101, 333), 1), ((64, 64), 16), ((384, 384), 3)]
)
def test_a_large_image_is_reconstructed_small_and_enlarged(image_size, channels):
    decoder = ImageDecoder(6, image_size=image_size, out_channels=channels, decoder_dim=4)
    height, width = decoder.decoded_size
    assert height * width * channels <= 3 * 96 * 96
    assert 0.9 < (height / width) / (image_size[0] / image_size[1]) < 1.1
    images = decoder(torch.randn(2, 6))
    assert images.shape == (2, channels, *image_size)
    assert (images[..., 1:, :] - images[..., :-1, :]).abs().max() < (images.max() - images.min())


def test_small_images_are_reconstructed_at_their_size():
    for image_size, channels in (((96, 96), 3), ((32, 32), 16), ((28, 28), 1)):
        decoder = ImageDecoder(6, image_size=image_size, out_channels=channels, decoder_dim=4)
        assert decoder.decoded_size == image_size
        assert decoder.enlargement is None


@pytest.mark.parametrize("image_size", [(8, 8), (224, 160)])
def test_it_adds_to_the_ground_before_it_enlarges(image_size):
    decoder = ImageDecoder(6, image_size=image_size, out_channels=3, decoder_dim=4)
    latent = torch.randn(2, 6)
    ground = torch.full((2, 3, *decoder.decoded_size), 0.7)
    torch.testing.assert_close(decoder(latent, ground), decoder(latent) + 0.7, atol=1e-5, rtol=1e-5)


def test_the_gradient_of_enlarging_is_deterministic():
    enlargement, images = Enlargement((5, 7), factor=3), torch.randn(2, 3, 5, 7, requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        enlargement(images).square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert images.grad.isfinite().all()
