from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from triptych.evaluation.audit.outliers import find_outliers
from triptych.evaluation.audit.pool import Pool


def test_images_that_are_no_digits_stand_out(digits: tuple[Tensor, Tensor], judged: Callable[..., Pool]) -> None:
    images, labels = digits
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 255
    strange = torch.stack([board[None], 255 - board[None], torch.eye(8)[None] * 255 + (255 - board[None]) // 2])
    pool = judged(torch.cat([images, strange.clamp(0, 255).byte()]), torch.cat([labels, torch.tensor([0, 1, 2])]))

    found = find_outliers(pool)

    planted = set(range(len(images), len(images) + 3))
    assert set(found.score.argsort(descending=True)[:3].tolist()) == planted
    assert set(found.likely.nonzero()[:, 0].tolist()) >= planted
    assert found.likely.double().mean() < 0.02


def test_without_a_decoder_two_signals_serve(digits: tuple[Tensor, Tensor], judged: Callable[..., Pool]) -> None:
    pool = judged(*digits)

    found = find_outliers(replace(pool, error=None))

    assert found.score.isfinite().all()
    assert not torch.equal(found.score, find_outliers(pool).score)


def test_images_that_are_all_alike_have_no_outliers(judged: Callable[..., Pool], digits: tuple[Tensor, Tensor]) -> None:
    pool = judged(*digits)
    same = replace(
        pool,
        probabilities=torch.full_like(pool.probabilities, 0.1),
        distances=torch.zeros_like(pool.distances),
        error=torch.zeros(len(pool), dtype=torch.float64),
    )

    assert not find_outliers(same).likely.any()
