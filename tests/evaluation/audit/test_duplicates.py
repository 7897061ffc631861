from collections.abc import Callable

import torch
from torch import Tensor

from triptych.evaluation.audit.pool import Pool
from triptych.evaluation.duplicates import find_duplicates


def with_copies(digits: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Put copies of images 10, 20, 30 and 40 to the end, in the test set: exact, relabelled, dimmed, noisy."""
    images, labels = digits
    noise = torch.randint(-6, 7, (1, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    copies = torch.cat(
        [
            images[10:11],
            images[20:21],
            (images[30:31].float() * 0.8).byte(),
            (images[40:41].int() + noise).clamp(0, 255).byte(),
        ]
    )
    return torch.cat([images, copies]), torch.cat([labels, labels[[10, 20, 30, 40]] + torch.tensor([0, 1, 0, 0])])


def pairs(pool: Pool) -> dict[tuple[int, int], tuple[float, bool]]:
    found = find_duplicates(pool.images, pool.neighbours)
    return {
        (first, second): (similarity, exact)
        for first, second, similarity, exact in zip(*(column.tolist() for column in found), strict=True)
    }


def test_copies_are_found_exact_or_nearly(digits: tuple[Tensor, Tensor], judged: Callable[..., Pool]) -> None:
    size = len(digits[0])

    found = pairs(judged(*with_copies(digits)))

    assert found[10, size] == (1.0, True)
    assert found[20, size + 1] == (1.0, True)
    for planted in ((30, size + 2), (40, size + 3)):
        similarity, exact = found[planted]
        assert not exact
        assert 0.985 < similarity <= 1
    assert list(found)[:2] == [(10, size), (20, size + 1)]


def test_few_pairs_are_found_where_nothing_comes_twice(
    digits: tuple[Tensor, Tensor], judged: Callable[..., Pool]
) -> None:
    found = pairs(judged(*digits))

    # Eight by eight pixels: a handful of plain strokes do look the same.
    assert len(found) < 15
    assert not any(exact for _, exact in found.values())


def test_each_further_copy_is_paired_with_the_first(digits: tuple[Tensor, Tensor], judged: Callable[..., Pool]) -> None:
    images, labels = digits
    size = len(images)
    thrice = torch.cat([images, images[5:6], images[5:6]]), torch.cat([labels, labels[5:6], labels[5:6]])

    exact = {pair for pair, (_, exact) in pairs(judged(*thrice)).items() if exact}

    assert exact == {(5, size), (5, size + 1)}


def test_images_of_one_grey_are_only_like_their_copies(judged: Callable[..., Pool]) -> None:
    random = torch.randint(0, 256, (60, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    greys = torch.stack([torch.full((1, 8, 8), value) for value in (0, 100, 100, 200)])
    images = torch.cat([random, greys]).byte()

    assert set(pairs(judged(images, torch.arange(64) % 2))) == {(61, 62)}
