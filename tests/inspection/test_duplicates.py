import pytest
import torch
from torch import Tensor

from triptych.data.builder import load_dataset
from triptych.inspection.duplicates import find_duplicates


@pytest.fixture(scope="module")
def digits() -> Tensor:
    data = load_dataset("digits")
    return torch.cat([data.train.images, data.test.images])


def with_copies(images: Tensor) -> Tensor:
    """Append copies of images 10, 20, 30 and 40: two exact ones, a dimmed one, a noisy one."""
    noise = torch.randint(-6, 7, (1, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    copies = torch.cat(
        [
            images[10:11],
            images[20:21],
            (images[30:31].float() * 0.8).byte(),
            (images[40:41].int() + noise).clamp(0, 255).byte(),
        ]
    )
    return torch.cat([images, copies])


def pairs(images: Tensor) -> dict[tuple[int, int], tuple[float, bool]]:
    found = find_duplicates(images)
    return {
        (first, second): (similarity, exact)
        for first, second, similarity, exact in zip(*(column.tolist() for column in found), strict=True)
    }


def test_exact_and_near_duplicates_are_found(digits: Tensor) -> None:
    size = len(digits)

    found = pairs(with_copies(digits))

    assert found[10, size] == (1.0, True)
    assert found[20, size + 1] == (1.0, True)
    for planted in ((30, size + 2), (40, size + 3)):
        similarity, exact = found[planted]
        assert not exact
        assert 0.985 < similarity <= 1
    assert list(found)[:2] == [(10, size), (20, size + 1)]


def test_few_pairs_are_found_where_nothing_comes_twice(digits: Tensor) -> None:
    found = pairs(digits)

    # Eight by eight pixels: a handful of plain strokes do look the same.
    assert len(found) < 15
    assert not any(exact for _, exact in found.values())


def test_each_further_copy_is_paired_with_the_first(digits: Tensor) -> None:
    size = len(digits)

    exact = {pair for pair, (_, exact) in pairs(torch.cat([digits, digits[5:6], digits[5:6]])).items() if exact}

    assert exact == {(5, size), (5, size + 1)}


def test_images_of_one_grey_match_only_their_duplicates() -> None:
    random = torch.randint(0, 256, (60, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    greys = torch.stack([torch.full((1, 8, 8), value) for value in (0, 100, 100, 200)])

    assert set(pairs(torch.cat([random, greys]).byte())) == {(61, 62)}
