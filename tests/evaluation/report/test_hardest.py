import math

import pytest
import torch
from torch import Tensor

from triptych.evaluation.report import hardest
from triptych.evaluation.report.hardest import hardest_triplets


def points(count: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    return embeddings, torch.randint(0, classes, (count,), generator=generator)


def excess(embeddings: list[list[float]], labels: list[int], anchor: int) -> tuple[float, int, int]:
    """The hardest triplet of an anchor, by trying all of them."""
    best = (-math.inf, -1, -1)
    for positive in range(len(labels)):
        for negative in range(len(labels)):
            if positive != anchor and labels[positive] == labels[anchor] != labels[negative]:
                to_positive = math.dist(embeddings[anchor], embeddings[positive])
                to_negative = math.dist(embeddings[anchor], embeddings[negative])
                best = max(best, (to_positive - to_negative, positive, negative))
    return best


@pytest.mark.parametrize("seed", range(5))
def test_they_are_the_hardest_of_all_triplets_without_an_image_twice(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardest, "CHUNK_ELEMENTS", 100)
    embeddings, labels = points(24, 3, seed)
    numbers = (embeddings.tolist(), labels.tolist())
    by_hardness = sorted(((*excess(*numbers, anchor), anchor) for anchor in range(24)), reverse=True)
    expected: list[tuple[int, int, int]] = []
    for _, positive, negative, anchor in by_hardness:
        if not {anchor, positive, negative} & {image for triplet in expected for image in triplet}:
            expected.append((anchor, positive, negative))

    found = hardest_triplets(embeddings, labels, count=4)

    assert (
        list(zip(found.anchors.tolist(), found.positives.tolist(), found.negatives.tolist(), strict=True))
        == expected[:4]
    )
    for row, (anchor, positive, negative) in enumerate(expected[:4]):
        assert found.distances[row, 0] == pytest.approx(math.dist(embeddings[anchor], embeddings[positive]), abs=1e-6)
        assert found.distances[row, 1] == pytest.approx(math.dist(embeddings[anchor], embeddings[negative]), abs=1e-6)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_without_a_positive_or_a_negative_there_is_no_triplet(labels: list[int]) -> None:
    found = hardest_triplets(torch.eye(3), torch.tensor(labels), count=2)

    assert len(found.anchors) == 0
    assert found.distances.shape == (0, 2)


def test_an_image_alone_in_its_class_is_no_anchor() -> None:
    embeddings, _ = points(5, 2, 0)
    found = hardest_triplets(embeddings, torch.tensor([0, 0, 0, 0, 1]), count=5)

    assert 4 not in found.anchors
    assert found.negatives.tolist() == [4]
