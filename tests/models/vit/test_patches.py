import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from triptych.models.vit.normalisation import BatchNormalisation
from triptych.models.vit.patches import (
    LEAST_VARIANCE,
    PATCH_EMBEDDINGS,
    ConvolutionalPatchEmbedding,
    ConvolutionalStage,
    PatchEmbedding,
    Whitening,
    token_grid,
)


@pytest.mark.parametrize("name", PATCH_EMBEDDINGS)
@pytest.mark.parametrize("patch_size", [1, 2, 3, 4, 5, 6, 7, 8, 12, 16])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_an_image_becomes_one_token_for_each_patch(name, patch_size, channels):
    embedding = PATCH_EMBEDDINGS[name](channels, embed_dim=12, patch_size=patch_size)
    tokens = embedding(torch.rand(2, channels, 2 * patch_size, 3 * patch_size))
    assert tokens.shape == (2, 6, 12)


def test_the_linear_embedding_is_a_matrix_product_on_each_flattened_patch():
    embedding = PatchEmbedding(3, embed_dim=8, patch_size=4)
    images = torch.rand(2, 3, 8, 12)
    expected = torch.empty(2, 6, 8)
    weight = embedding.projection.weight.reshape(8, -1)
    for image in range(2):
        for row in range(2):
            for column in range(3):
                patch = images[image, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].reshape(-1)
                expected[image, 3 * row + column] = weight @ patch + embedding.projection.bias
    torch.testing.assert_close(embedding(images), expected)


@pytest.mark.parametrize(
    ("patch_size", "stride", "pools", "widths"),
    [
        (1, 1, [1], [128]),
        (2, 1, [2], [128]),
        (4, 1, [2, 2], [88, 128]),
        (6, 1, [2, 3], [88, 128]),
        (7, 7, [1], [128]),
        (8, 1, [2, 2, 2], [32, 88, 128]),
        (9, 1, [3, 3], [88, 128]),
        (12, 1, [2, 2, 3], [32, 88, 128]),
        (16, 2, [2, 2, 2], [32, 88, 128]),
    ],
)
def test_stages_pool_by_factors_of_the_patch_size_and_whitening_strides_by_the_rest(patch_size, stride, pools, widths):
    embedding = ConvolutionalPatchEmbedding(3, embed_dim=128, patch_size=patch_size)
    assert embedding.whitening.stride == stride
    assert [stage.pool for stage in embedding.stages] == pools
    assert math.prod([stride, *pools]) == patch_size
    assert [stage.refine.out_channels for stage in embedding.stages] == widths


@pytest.mark.parametrize("name", PATCH_EMBEDDINGS)
@pytest.mark.parametrize("patch_size", [1, 2, 3, 5, 7, 8])
def test_every_pixel_reaches_a_token(name, patch_size):
    embedding = PATCH_EMBEDDINGS[name](1, embed_dim=8, patch_size=patch_size)
    images = torch.rand(1, 1, 2 * patch_size, 2 * patch_size, requires_grad=True)
    embedding(images).square().sum().backward()
    assert (images.grad != 0).all()


def test_convolutional_tokens_lie_where_their_patches_lie():
    embedding = ConvolutionalPatchEmbedding(1, embed_dim=128, patch_size=4)
    blank = torch.zeros(1, 1, 16, 16)
    spot = blank.clone()
    spot[0, 0, 5:7, 9:11] = 1.0  # inside the patch at row 1, column 2
    change = (embedding(spot) - embedding(blank)).norm(dim=-1).reshape(4, 4)
    assert change.argmax() == 1 * 4 + 2


@pytest.mark.parametrize("name", PATCH_EMBEDDINGS)
def test_tokens_keep_the_scale_of_standardised_pixels(name):
    tokens = PATCH_EMBEDDINGS[name](3, embed_dim=96, patch_size=8)(torch.randn(16, 3, 32, 32))
    assert 0.5 < tokens.std() < 2.0


@pytest.mark.parametrize("name", PATCH_EMBEDDINGS)
def test_an_image_that_the_patches_do_not_divide_is_rejected_with_a_way_out(name):
    embedding = PATCH_EMBEDDINGS[name](1, embed_dim=8, patch_size=8)
    with pytest.raises(ValueError, match=r"8 does not divide 28x32.*another patch_size.*pad the images to 32x32"):
        embedding(torch.rand(1, 1, 28, 32))


def test_the_grid_counts_rows_before_columns():
    assert token_grid(8, 24, patch_size=4) == (2, 6)


def test_the_convolutional_embedding_follows_its_docstring():
    embedding = ConvolutionalPatchEmbedding(1, embed_dim=16, patch_size=4).train()
    embedding.fit([torch.randn(64, 1, 8, 8)])
    images = torch.randn(2, 1, 8, 8)
    whitened = F.conv2d(F.pad(images, (0, 1, 0, 1)), embedding.whitening.filters)
    expected = F.gelu(torch.cat([whitened, -whitened], 1))
    for stage in embedding.stages:
        expected = F.max_pool2d(F.conv2d(expected, stage.enter.weight, padding=1), 2)
        expected = F.gelu(standardised(expected))
        expected = F.gelu(standardised(F.conv2d(expected, stage.refine.weight, padding=1)))
    torch.testing.assert_close(embedding(images), expected.flatten(2).transpose(1, 2))


def standardised(features):
    mean = features.mean((0, 2, 3), keepdim=True)
    variance = features.var((0, 2, 3), correction=0, keepdim=True)
    return (features - mean) / (variance + 1e-5).sqrt()


# Whitening


def natural_images(count=64, channels=3, height=24, width=36):
    """Images with the spectrum of photographs (amplitude 1 / frequency), and channels that resemble each other."""
    generator = torch.Generator().manual_seed(0)
    across, down = torch.fft.fftfreq(width), torch.fft.fftfreq(height)
    amplitude = 1 / (across[None].square() + down[:, None].square()).sqrt().clamp_min(1 / width)
    noise = torch.randn(count, channels, height, width, generator=generator)
    images = torch.fft.ifft2(torch.fft.fft2(noise) * amplitude).real
    mixed = 0.2 * images + images.mean(1, keepdim=True)
    return (mixed - mixed.mean((0, 2, 3), keepdim=True)) / mixed.std((0, 2, 3), keepdim=True)


def handwritten_digits():
    pixels = torch.from_numpy(load_digits().images).float()[:, None]
    return (pixels - pixels.mean()) / pixels.std()


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("make", [natural_images, handwritten_digits])
def test_whitened_patches_are_uncorrelated_with_unit_variance_where_there_is_content(make, stride):
    images = make()[..., :24, :36]
    side = max(stride, 2)
    height, width = (length // side * side for length in images.shape[2:])
    images = images[..., :height, :width]
    whitening = Whitening(images.shape[1], stride=stride)
    whitening.fit(images.split(20))

    patches = np.stack(
        [
            image[:, row : row + side, column : column + side].reshape(-1).double().numpy()
            for image in images
            for row in range(0, height, side)
            for column in range(0, width, side)
        ]
    )
    whitened = patches @ whitening.filters.flatten(1).double().numpy().T
    found = whitened.T @ whitened / len(whitened)
    # A direction of variance v comes out with v / (v + LEAST_VARIANCE): near 1 where there is content, else near 0.
    variances = np.linalg.eigvalsh(patches.T @ patches / len(patches)).clip(0)
    expected = np.diag(variances / (variances + LEAST_VARIANCE))
    np.testing.assert_allclose(found, expected, atol=2e-3)
    strong = variances > 9 * LEAST_VARIANCE
    assert strong.any()
    assert (np.diag(found)[strong] > 0.89).all()


def test_whitening_gives_each_filter_with_both_signs():
    images, whitening = natural_images(8), Whitening(3, stride=2)
    whitening.fit([images])
    filtered = F.conv2d(images, whitening.filters, stride=2)
    torch.testing.assert_close(whitening(images), F.gelu(torch.cat([filtered, -filtered], 1)))


def test_filters_depend_on_the_images_alone():
    images, fitted = natural_images(40), []
    for batches in ([images], images.split(7), images.flip(0).split(40)):
        torch.manual_seed(len(fitted))
        whitening = Whitening(3, stride=2)
        whitening.fit(batches)
        fitted.append(whitening.filters.clone())
    for other in fitted[1:]:
        torch.testing.assert_close(other, fitted[0], atol=1e-4, rtol=1e-4)
    # The entry of largest size decides the sign.
    flat = fitted[0].flatten(1)
    assert (flat.gather(1, flat.abs().argmax(1, keepdim=True)) > 0).all()


@pytest.mark.parametrize("images", [torch.zeros(4, 3, 8, 8), torch.ones(1, 3, 2, 2), torch.zeros(0, 3, 8, 8)])
def test_images_without_content_give_finite_filters(images):
    whitening = Whitening(3, stride=1)
    whitening.fit([images])
    assert whitening.filters.isfinite().all()
    assert whitening(torch.randn(2, 3, 8, 8)).isfinite().all()


# Folding


@pytest.mark.parametrize("pool", [1, 2, 3])
def test_a_folded_stage_is_the_same_function_without_normalisation(pool):
    stage = ConvolutionalStage(4, 8, pool=pool)
    for norm in (stage.enter_norm, stage.refine_norm):
        nn.init.normal_(norm.bias)
    for _ in range(3):
        stage(3 * torch.randn(8, 4, 12, 6) + 1)
    features = torch.randn(5, 4, 12, 6)
    expected = stage.eval()(features)
    for _ in range(2):  # folding twice changes nothing
        stage.fold()
        torch.testing.assert_close(stage(features), expected, atol=1e-5, rtol=1e-5)
    assert not any(isinstance(module, BatchNormalisation) for module in stage.modules())
