"""The encoder's side of the report: the map of the embeddings, and the figure of the encoder's attention."""

from collections.abc import Sequence

import torch

from triptych.evaluation.measuring.measured import Evaluation
from triptych.evaluation.measuring.outputs import Model
from triptych.evaluation.report.pictures import Picture, drawn_images, picture
from triptych.visualisation import attention_figure, embedding_figure


def map_pictures(evaluation: Evaluation, classes: Sequence[str]) -> list[Picture]:
    """Draw the map of a split's embeddings, coloured by class."""
    shown, count = evaluation.map.indices, len(evaluation.split)
    whole = f"{len(shown):,} of the {count:,}" if len(shown) < count else f"All {count:,}"
    labels = evaluation.outputs.labels[shown]
    return [
        picture(
            "map",
            embedding_figure(evaluation.map.points, labels, classes=classes, title=""),
            title="Embeddings by class",
            caption=f"{whole} images of the split, laid out by t-SNE: images with similar embeddings are near each "
            "other. Distances between groups mean little.",
            alt=f"Map of {len(shown):,} embeddings of {len(set(labels.tolist()))} classes.",
        )
    ]


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
