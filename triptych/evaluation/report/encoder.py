"""The data of the interactive map of embeddings, and the figure of the encoder's attention."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from triptych.evaluation.measuring.measured import Evaluation
from triptych.evaluation.measuring.outputs import Model
from triptych.evaluation.report.pictures import Picture, drawn_images, picture
from triptych.inspection.thumbnails import sprite_sheet, thumbnails
from triptych.metrics import nearest_neighbours
from triptych.visualisation import attention_figure
from triptych.visualisation.paper.names import medoid
from triptych.visualisation.paper.style import class_colours

MOST_POINTS = 4000
"""Points that the page can carry with their thumbnails, and a phone can draw at every touch."""
LONGEST_SIDES = (40, 72)
"""Pixels to a side of a thumbnail: of many points, and of at most `FEW`."""
FEW = 1200
NEIGHBOURS = 8
GRID = 10_000
"""Places are whole numbers from 0 to this, along the longer side of the map."""


def map_data(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Collect the map of a split's embeddings as JSON can hold it.

    Neighbours are those in the space of embeddings, by cosine, among the images of the map. Of more than 4,000 images
    every second, third, … is left out.

    Args:
        evaluation: The split.
        classes: The names of the classes, in the order of the labels.

    Returns:
        `classes`, their `colours`, and `medoids`: where their names belong, null for a class without an image.
        `sprite`, the sheet of thumbnails. And for each point: `x` and `y`, downwards; `image`, its position in the
        split; `files`, its file; `label`, `predicted`, and `confidence` in ten-thousandths; and `neighbours`, as
        positions on the map, nearest first.
    """
    step = -(-len(evaluation.map.indices) // MOST_POINTS)
    points = torch.as_tensor(evaluation.map.points)[::step].double()
    chosen = evaluation.map.indices[::step]
    confidence, predicted = evaluation.outputs.probabilities[chosen].max(1)
    places, labels = _on_grid(points), evaluation.outputs.labels[chosen]
    x, y = places.T.tolist()
    sprite = sprite_sheet(thumbnails(evaluation.split.images[chosen], longest=LONGEST_SIDES[len(chosen) <= FEW]))
    return {
        "classes": list(classes),
        "colours": class_colours(len(classes)),
        "medoids": _medoids(places, labels, classes=len(classes)),
        "sprite": {
            "picture": f"data:{sprite.mime_type};base64,{b64encode(sprite.picture).decode()}",
            "columns": sprite.columns,
            "width": sprite.width,
            "height": sprite.height,
        },
        "x": x,
        "y": y,
        "image": chosen.tolist(),
        "files": [evaluation.name(row) for row in chosen.tolist()],
        "label": labels.tolist(),
        "predicted": predicted.tolist(),
        "confidence": (10_000 * confidence).round().int().tolist(),
        "neighbours": _neighbours(evaluation.outputs.embeddings[chosen]),
    }


def _on_grid(points: Tensor) -> Tensor:
    """Move points (N, 2) to whole places from 0, y downwards, both axes by the same scale."""
    points = points * torch.tensor([1.0, -1.0])
    moved = points - points.amin(0)
    return (moved * (GRID / moved.max().clamp(min=1e-9))).round().int()


def _medoids(places: Tensor, labels: Tensor, *, classes: int) -> list[list[float] | None]:
    """Find for each class the point in the middle of its points; a class without points has none."""
    members = (places[labels == label].double().numpy() for label in range(classes))
    return [medoid(points).tolist() if len(points) else None for points in members]


def _neighbours(embeddings: Tensor) -> list[list[int]]:
    count = min(NEIGHBOURS, len(embeddings) - 1)
    if count < 1:
        return [[] for _ in embeddings]
    indices: list[list[int]] = nearest_neighbours(embeddings, k=count).indices.tolist()
    return indices


IMAGES = 16


@torch.inference_mode()
def attention_pictures(model: Model, evaluation: Evaluation, classes: Sequence[str]) -> list[Picture]:
    """Draw the attention of the encoder over a few images; nothing for an encoder without attention maps."""
    chosen = drawn_images(evaluation.outputs.labels, count=IMAGES)
    images = evaluation.split.images[chosen].to(next(model.parameters()).device).float() / 255
    maps = model.encoder.attention_maps(model.pixels(images))
    if maps is None:
        return []
    names = ", ".join(classes[label] for label in evaluation.outputs.labels[chosen].tolist())
    return [
        picture(
            "attention",
            attention_figure(images.cpu(), maps.float().cpu()),
            title="Attention rollout",
            caption="How much each patch of an image contributes to the encoder's output, followed through the "
            "attention of all blocks (attention rollout). It shows where information is gathered; it is no proof that "
            "a prediction depends on it.",
            alt=f"Attention maps over images of {names}.",
            files=[evaluation.name(row) for row in chosen.tolist()],
        )
    ]
