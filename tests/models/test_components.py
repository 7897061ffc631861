import pytest
import torch
from sklearn.decomposition import PCA

from triptych.models.components import PrincipalComponents


def pictures(count=200, channels=2, height=6, width=5, seed=0):
    """Images of a few strong directions and some noise."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(4, channels * height * width, generator=generator)
    strengths = torch.randn(count, 4, generator=generator) * torch.tensor([8.0, 4.0, 2.0, 1.0])
    noise = 0.1 * torch.randn(count, channels * height * width, generator=generator)
    return (strengths @ basis + noise + 3.0).reshape(count, channels, height, width)


def fitted(images, count):
    components = PrincipalComponents(count, image_size=tuple(images.shape[2:]), channels=images.shape[1])
    components.fit(images.split(64), seed=0)
    return components


def test_there_and_back_is_what_pca_keeps():
    images = pictures()
    components = fitted(images, 3)
    peer = PCA(3).fit(images.flatten(1))
    expected = torch.from_numpy(peer.inverse_transform(peer.transform(images.flatten(1)))).reshape(images.shape)
    torch.testing.assert_close(components.decode(components.encode(images)), expected.float(), atol=1e-3, rtol=1e-3)


def test_in_the_latent_every_component_has_deviation_one_and_mean_zero():
    images = pictures()
    latent = fitted(images, 4).encode(images)
    torch.testing.assert_close(latent.std(0), torch.ones(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(latent.mean(0), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(latent.T.cov(), torch.eye(4), atol=1e-3, rtol=0)


def test_before_the_fit_all_components_are_zero():
    components = PrincipalComponents(3, image_size=(6, 5), channels=2)
    assert components.encode(pictures(4)).count_nonzero() == 0
    assert components.decode(torch.ones(4, 3)).count_nonzero() == 0


def test_dimensions_for_which_there_is_no_component_stay_zero():
    two_ways = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)) @ torch.eye(2, 60)
    components = fitted(two_ways.reshape(50, 2, 6, 5), 8)
    latent = components.encode(two_ways.reshape(50, 2, 6, 5))
    assert latent[:, 2:].count_nonzero() == 0
    torch.testing.assert_close(components.decode(latent).flatten(1), two_ways, atol=1e-4, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_images_are_enough(count):
    images = pictures(count)
    components = fitted(images, 8)
    torch.testing.assert_close(components.decode(components.encode(images)), images, atol=1e-2, rtol=0)


@pytest.mark.parametrize("image_size", [(96, 40), (40, 96), (64, 64)])
def test_large_images_are_seen_in_small_and_come_back_in_their_size(image_size):
    generator = torch.Generator().manual_seed(0)
    brightness = torch.randn(40, 1, 1, 1, generator=generator)
    images = brightness.expand(-1, 3, *image_size)
    components = fitted(images, 2)
    assert components.directions.shape[1] <= 3 * 32 * 32
    torch.testing.assert_close(components.decode(components.encode(images)), images, atol=1e-3, rtol=0)


def test_the_same_images_give_the_same_components_and_leave_the_random_numbers_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = fitted(pictures(), 3), fitted(pictures(), 3)
    assert torch.equal(first.directions, second.directions)
    assert torch.equal(torch.get_rng_state(), state)


def test_components_travel_in_the_state():
    components = fitted(pictures(), 3)
    loaded = PrincipalComponents(3, image_size=(6, 5), channels=2)
    loaded.load_state_dict(components.state_dict())
    assert torch.equal(loaded.encode(pictures()), components.encode(pictures()))


def test_cells_of_whole_pixels_are_averaged_like_any_others():
    images = pictures(30, channels=3, height=64, width=96)
    components = fitted(images, 3)
    assert components.pools
    expected = torch.nn.functional.adaptive_avg_pool2d(images, (32, 32)).flatten(1)
    torch.testing.assert_close(components._shrunk(images), expected)
    uneven = pictures(30, channels=3, height=50, width=96)
    assert not fitted(uneven, 3).pools
    expected = torch.nn.functional.adaptive_avg_pool2d(uneven, (32, 32)).flatten(1)
    torch.testing.assert_close(fitted(uneven, 3)._shrunk(uneven), expected)


def test_they_can_be_reconstructed_in_another_size():
    brightness = torch.randn(40, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    images = brightness.expand(-1, 3, 64, 96)
    components = PrincipalComponents(2, image_size=(64, 96), channels=3, decoded_size=(20, 33))
    components.fit([images], seed=0)
    decoded = components.decode(components.encode(images))
    torch.testing.assert_close(decoded, brightness.expand(-1, 3, 20, 33), atol=1e-3, rtol=0)
