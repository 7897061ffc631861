import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from triptych.data.images import Split
from triptych.evaluation.measuring.outputs import ModelOutputs
from triptych.evaluation.report import retrieval
from triptych.evaluation.report.retrieval import hardest_triplets
from triptych.visualisation.paper.style import new_figure


@pytest.fixture
def drawn(reported: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Tensor]]:
    """What the three figures of retrieval are given, without their being drawn."""
    given: dict[str, list[Tensor]] = {"retrieval": [], "triplets": []}

    def record(kind: str) -> Any:
        def figure(*tensors: Tensor, **options: Any) -> Any:
            given[kind] = [*given[kind], *tensors, *([options["distances"]] if "distances" in options else [])]
            return new_figure(20, 20)

        return figure

    monkeypatch.setattr(retrieval, "retrieval_figure", record("retrieval"))
    monkeypatch.setattr(retrieval, "triplet_figure", record("triplets"))
    retrieval.retrieval_pictures(reported.evaluation, reported.data.classes)
    return given


@pytest.mark.parametrize(("count", "pictures"), [(1, 0), (2, 1), (3, 1)])
def test_few_images_have_fewer_figures(
    count: int, pictures: int, reported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "retrieval_figure", lambda *_, **__: new_figure(20, 20))
    outputs = reported.evaluation.outputs
    few = ModelOutputs(torch.zeros(count, dtype=torch.int64), outputs.embeddings[:count], outputs.logits[:count], None)
    images = Split(reported.evaluation.split.images[:count], few.labels)

    drawn = retrieval.retrieval_pictures(replace(reported.evaluation, split=images, outputs=few), reported.data.classes)

    assert len(drawn) == pictures


def positions(images: Tensor, reported: Any) -> list[int]:
    """Find images of the split again by their pixels."""
    split = reported.evaluation.split.images.float() / 255
    return [int((split == image).flatten(1).all(1).nonzero()[0, 0]) for image in images]


def order(reported: Any, query: int) -> list[int]:
    """All other images, the nearest first, and by position where they are equally near."""
    embeddings = reported.evaluation.outputs.embeddings.double()
    nearness = (embeddings @ embeddings[query]).tolist()
    return sorted((image for image in range(len(embeddings)) if image != query), key=lambda image: -nearness[image])


def test_each_query_is_followed_by_its_ten_nearest(drawn: dict[str, list[Tensor]], reported: Any) -> None:
    queries, neighbours, query_labels, neighbour_labels = drawn["retrieval"][:4]
    labels = reported.evaluation.outputs.labels

    assert neighbours.shape[:2] == (6, 10)
    for row, query in enumerate(positions(queries, reported)):
        nearest = order(reported, query)[:10]
        assert positions(neighbours[row], reported) == nearest
        assert query_labels[row] == labels[query]
        assert neighbour_labels[row].tolist() == labels[nearest].tolist()


def test_the_worst_cases_have_the_fewest_of_their_own_class(drawn: dict[str, list[Tensor]], reported: Any) -> None:
    at_random, worst = (positions(drawn["retrieval"][place], reported) for place in (0, 4))
    labels = reported.evaluation.outputs.labels.tolist()
    hits = [sum(labels[other] == label for other in order(reported, image)[:10]) for image, label in enumerate(labels)]

    assert len({labels[image] for image in worst}) == len(worst) == 4
    assert not set(worst) & set(at_random)
    # Nothing worse was left out, unless its class is shown already, or the image itself.
    shown = {labels[image] for image in worst}
    left_out = [hits[image] for image, label in enumerate(labels) if label not in shown and image not in at_random]
    assert min(left_out) >= max(hits[image] for image in worst)


def test_the_triplets_carry_their_distances(drawn: dict[str, list[Tensor]], reported: Any) -> None:
    anchors, positives, negatives, anchor_labels, negative_labels, distances = drawn["triplets"]
    embeddings, labels = reported.evaluation.outputs.embeddings, reported.evaluation.outputs.labels
    places = [positions(images, reported) for images in (anchors, positives, negatives)]

    assert labels[places[0]].tolist() == labels[places[1]].tolist() == anchor_labels.tolist()
    assert labels[places[2]].tolist() == negative_labels.tolist()
    for column, others in enumerate(places[1:]):
        expected = (embeddings[places[0]] - embeddings[others]).norm(dim=1)
        assert torch.allclose(distances[:, column], expected, atol=1e-6)
    assert (distances[:, 0] > distances[:, 1]).all()


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
    monkeypatch.setattr(retrieval, "CHUNK_ELEMENTS", 100)
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
