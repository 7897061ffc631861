from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from triptych.data.pixels.mapped import MappedImages, content_digest, joined, map_pixels, padded, parts, select


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (20, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def mapped(pixels: torch.Tensor, tmp_path: Path) -> MappedImages:
    file = tmp_path / "pixels"
    file.write_bytes(pixels.numpy().tobytes())
    return MappedImages(map_pixels(file, shape=(3, 4, 6)))


@pytest.mark.parametrize(
    "index", [3, -1, slice(2, 9), slice(None), [4, 4, 0], torch.tensor([19, 0]), torch.arange(20) % 3 == 0]
)
def test_images_on_the_disk_are_indexed_as_those_in_memory(pixels, mapped, index):
    assert torch.equal(mapped[index], pixels[index])


@pytest.mark.parametrize("border", [0, 2])
def test_chosen_and_bordered_images_are_those_of_a_tensor(pixels, mapped, border):
    index = torch.tensor([7, 3, 3, 15])
    expected = F.pad(pixels[index], [border] * 4)

    chosen = padded(select(mapped, index), border)

    assert torch.equal(chosen[:], expected)
    assert torch.equal(padded(select(pixels, index), border), expected)
    assert (chosen.shape, chosen.nbytes, len(chosen)) == (expected.shape, expected.nbytes, 4)
    assert torch.equal(torch.stack(list(chosen)), expected)
    assert torch.equal(select(chosen, torch.tensor([False, True, True, False]))[:], expected[1:3])
    assert torch.equal(torch.cat(list(parts(chosen, 3))), expected)


def test_what_was_read_can_be_changed_and_the_file_stays(pixels, mapped):
    mapped[:5].zero_()
    mapped[2].zero_()

    assert torch.equal(mapped[:], pixels)


def test_images_of_one_file_are_joined_without_reading_it(pixels, mapped):
    both = joined([select(mapped, torch.tensor([5, 1])), select(mapped, torch.arange(20) >= 18)])

    assert isinstance(both, MappedImages)
    assert torch.equal(both[:], pixels[[5, 1, 18, 19]])


def test_images_of_different_places_are_joined_in_memory(pixels, mapped):
    assert torch.equal(joined([mapped, pixels]), torch.cat([pixels, pixels]))


def test_digests_of_cached_images_are_those_of_their_rows_and_read_no_pixel():
    pixels = torch.randint(0, 256, (5, 1, 2, 2), dtype=torch.uint8)
    cached = MappedImages(pixels.to("meta"), content="abc")
    first, last = (content_digest(cached.select(torch.tensor(rows))) for rows in ([0, 1], [1, 0]))
    assert len({first, last, content_digest(cached), content_digest(cached.padded(1))}) == 4
    assert first == content_digest(MappedImages(pixels, content="abc").select(torch.tensor([0, 1])))
    assert first != content_digest(MappedImages(pixels, content="abd").select(torch.tensor([0, 1])))
    assert content_digest(MappedImages(pixels)) == content_digest(pixels)
