"""Figures of metric learning: the nearest neighbours of a few images, and the hardest triplets."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.evaluation.measuring.measured import Evaluation
from triptych.evaluation.report.pictures import Picture, drawn_images, picture
from triptych.metrics import nearest_neighbours
from triptych.visualisation import retrieval_figure, triplet_figure

NEAREST = 10
DRAWN = 6
WORST = 4
TRIPLETS = 6

CHUNK_ELEMENTS = 2**23
"""Distances that are computed in one go: 32 MiB."""


def retrieval_pictures(evaluation: Evaluation, classes: Sequence[str]) -> list[Picture]:
    """Draw the nearest neighbours among the other images of the split; a single image has none."""
    labels = evaluation.outputs.labels
    if len(labels) < 2:
        return []
    neighbours = nearest_neighbours(evaluation.outputs.embeddings, k=min(NEAREST, len(labels) - 1)).indices
    hits = (labels[neighbours] == labels[:, None]).sum(1)
    drawn = drawn_images(labels, count=DRAWN)
    worst = _worst(hits, labels, count=WORST, besides=drawn)
    found = neighbours.shape[1]
    shown = [
        _retrieval(
            "retrieval",
            evaluation,
            drawn,
            neighbours[drawn],
            classes,
            title="Nearest neighbours of images drawn at random",
            caption=f"On the left an image of the split, then the {found} others whose embeddings are nearest, nearest "
            "first. A blue frame marks images of the same class. A fixed seed drew the images, from different classes.",
        )
    ]
    if len(worst):
        shown.append(
            _retrieval(
                "retrieval_worst",
                evaluation,
                worst,
                neighbours[worst],
                classes,
                title="Nearest neighbours in the worst cases",
                caption=f"The images with the fewest of their own class among their {found} nearest, at most one of "
                "each class. They show what errors look like, not how frequent errors are.",
            )
        )
    return [*shown, *_triplets(evaluation, classes)]


def _worst(hits: Tensor, labels: Tensor, *, count: int, besides: Tensor) -> Tensor:
    """Choose images of different classes with the fewest hits, which are not shown already."""
    chosen: list[int] = []
    for image in hits.argsort(stable=True).tolist():
        if len(chosen) == count:
            break
        if image not in besides and labels[image] not in labels[chosen]:
            chosen.append(image)
    return torch.tensor(chosen, dtype=torch.int64)


def _retrieval(
    name: str,
    evaluation: Evaluation,
    queries: Tensor,
    neighbours: Tensor,
    classes: Sequence[str],
    *,
    title: str,
    caption: str,
) -> Picture:
    images, labels = evaluation.split.images, evaluation.outputs.labels
    figure = retrieval_figure(
        images[queries].cpu().float() / 255,
        images[neighbours].cpu().float() / 255,
        labels[queries],
        labels[neighbours],
        classes=classes,
    )
    right = (labels[neighbours] == labels[queries, None]).sum(1).tolist()
    hits = "; ".join(
        f"{classes[label]}: {number}" for label, number in zip(labels[queries].tolist(), right, strict=True)
    )
    files = [
        f"{evaluation.name(query)}: {', '.join(map(evaluation.name, found))}"
        for query, found in zip(queries.tolist(), neighbours.tolist(), strict=True)
    ]
    alt = f"Images and their {neighbours.shape[1]} nearest neighbours. Of the same class are, for {hits}."
    return picture(name, figure, title=title, caption=caption, alt=alt, files=files)


def _triplets(evaluation: Evaluation, classes: Sequence[str]) -> list[Picture]:
    labels, images = evaluation.outputs.labels, evaluation.split.images
    found = hardest_triplets(evaluation.outputs.embeddings, labels, count=TRIPLETS)
    if not len(found.anchors):
        return []
    anchor_labels, negative_labels = labels[found.anchors], labels[found.negatives]
    figure = triplet_figure(
        images[found.anchors].cpu().float() / 255,
        images[found.positives].cpu().float() / 255,
        images[found.negatives].cpu().float() / 255,
        anchor_labels,
        negative_labels,
        classes=classes,
        title="",
        distances=found.distances,
    )
    pairs = zip(anchor_labels.tolist(), negative_labels.tolist(), strict=True)
    names = ", ".join(f"{classes[anchor]} and {classes[negative]}" for anchor, negative in pairs)
    caption = (
        "Of all triplets in the split, those with a far positive, an image of the anchor's own class, and a near "
        "negative, one of another class. Outliers and label errors come first. Distances are Euclidean, between "
        "embeddings of length 1: at most 2."
    )
    return [
        picture(
            "hardest_triplets",
            figure,
            title="The hardest triplets",
            caption=caption,
            alt=f"Anchors, far positives and near negatives of {names}.",
            files=[
                ", ".join(map(evaluation.name, rows))
                for rows in torch.stack([found.anchors, found.positives, found.negatives], 1).tolist()
            ],
        )
    ]


@dataclass(frozen=True, eq=False)
class Triplets:
    """Anchors with their farthest positives and their nearest negatives, the hardest first.

    Attributes:
        anchors, positives, negatives: Positions in the split, (T,) int64.
        distances: Euclidean, between unit embeddings, of each anchor from its positive and from its negative, (T, 2).
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor
    distances: Tensor


def hardest_triplets(embeddings: Tensor, labels: Tensor, *, count: int) -> Triplets:
    """Find the anchors whose farthest positive is farther than their nearest negative by most.

    No image is in two triplets, or one outlier would be in all of them. An anchor that is alone in its
    class, or without another class, makes no triplet.

    Args:
        embeddings: (N, E), of L2 norm 1.
        labels: (N,).
        count: How many are wanted; there may be fewer.

    Example:
        >>> angles = torch.tensor([0.0, 1.0, 0.1])
        >>> found = hardest_triplets(torch.stack([angles.cos(), angles.sin()], 1), torch.tensor([0, 0, 1]), count=1)
        >>> found.anchors, found.positives, found.negatives
        (tensor([0]), tensor([1]), tensor([2]))
    """
    excess, positives, negatives = _hardest_of_each(embeddings, labels)
    chosen: list[int] = []
    taken: set[int] = set()
    for anchor in excess.argsort(descending=True, stable=True).tolist():
        images = {anchor, int(positives[anchor]), int(negatives[anchor])}
        if len(chosen) == count or not excess[anchor].isfinite():
            break
        if not images & taken:
            chosen.append(anchor)
            taken |= images
    anchors = torch.tensor(chosen, dtype=torch.int64)
    positives, negatives = positives[anchors], negatives[anchors]
    distances = [(embeddings[anchors] - embeddings[others]).norm(dim=1) for others in (positives, negatives)]
    return Triplets(anchors, positives, negatives, torch.stack(distances, dim=1))


def _hardest_of_each(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each anchor by how much its farthest positive is farther than its nearest negative, and both (N,).

    The excess is -inf where one of the two is missing.
    """
    positions = torch.arange(len(labels))
    parts = []
    for anchors in torch.split(positions, max(1, CHUNK_ELEMENTS // len(labels))):
        distances = torch.cdist(embeddings[anchors], embeddings)
        same = labels[anchors, None] == labels
        is_positive = same & (anchors[:, None] != positions)
        to_positive, positives = distances.masked_fill(~is_positive, -torch.inf).max(1)
        to_negative, negatives = distances.masked_fill(same, torch.inf).min(1)
        parts.append((to_positive - to_negative, positives, negatives))
    excess, positives, negatives = (torch.cat(column) for column in zip(*parts, strict=True))
    return excess, positives, negatives
