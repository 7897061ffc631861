"""The picture of attention: where in a few images the encoder looks."""

from collections.abc import Sequence

import torch

from triptych.evaluation.evaluate import Evaluation
from triptych.evaluation.outputs import Model
from triptych.evaluation.report.choice import drawn_images
from triptych.evaluation.report.pictures import Picture, picture
from triptych.visualisation import attention_figure

IMAGES = 16


@torch.inference_mode()
def attention_pictures(model: Model, evaluation: Evaluation, classes: Sequence[str]) -> list[Picture]:
    """Draw the attention of the encoder over a few images; nothing of one that does not tell where it looks."""
    chosen = drawn_images(evaluation.outputs.labels, count=IMAGES)
    images = evaluation.split.images[chosen].to(next(model.parameters()).device).float() / 255
    maps = model.encoder.attention_maps(model.pixels(images))
    if maps is None:
        return []
    names = ", ".join(classes[label] for label in evaluation.outputs.labels[chosen].tolist())
    return [
        picture(
            "attention",
            attention_figure(images.cpu(), maps.float().cpu(), title=""),
            title="Attention rollout",
            caption="How much each patch of an image gave to what the encoder says of it, followed through the "
            "attention of all blocks. It shows where information was gathered; it does not prove that a verdict rests "
            "on it.",
            alt=f"Attention maps over images of {names}.",
        )
    ]
