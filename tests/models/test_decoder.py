import pytest
import torch

from triptych.models.decoder import ImageDecoder


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


def test_the_decoder_can_paint_any_eight_images():
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
