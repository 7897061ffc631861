"""The pictures of repainting: what the decoder makes of images, of chance, and of walks through the latent space."""

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.evaluation.evaluate import Evaluation
from triptych.evaluation.outputs import Repainting, reconstructions
from triptych.evaluation.report.pictures import Picture, drawn_images, picture
from triptych.metrics import active_units
from triptych.models import MultiTaskImageTransformer
from triptych.visualisation import ImageRow, image_rows_figure, latent_figure

REPAINTED = 12
SAMPLES = 36
SAMPLES_IN_A_ROW = 12
WALKS = 6
STEPS = 11
DIMENSIONS = 8
SURVEYED = 10_000
"""Images whose latents say how far a traversal goes."""
REACH = 0.02
"""Share of the images that lies beyond either end of a traversal."""


@torch.inference_mode()
def repainting_pictures(
    model: MultiTaskImageTransformer, evaluation: Evaluation, classes: Sequence[str]
) -> list[Picture]:
    """Draw reconstructions, interpolations, samples, a traversal, and what the latent's dimensions know."""
    latent = evaluation.outputs.repainting
    assert latent is not None
    return [
        _best_to_worst(model, evaluation, latent),
        *_interpolations(model, evaluation, latent, classes),
        _traversal(model, evaluation, latent, classes),
        _samples(model, evaluation),
        _dimensions(evaluation, latent),
    ]


def _best_to_worst(model: MultiTaskImageTransformer, evaluation: Evaluation, latent: Repainting) -> Picture:
    order = latent.squared_error.argsort(stable=True)
    chosen = order[torch.linspace(0, len(order) - 1, min(REPAINTED, len(order))).round().long()]
    images, errors = evaluation.split.images[chosen], latent.squared_error[chosen].tolist()
    rows = [
        ImageRow(images.cpu().float() / 255, name="original"),
        ImageRow(reconstructions(model, images), name="repainted", captions=[f"{e:.4f}" for e in errors], joined=True),
    ]
    return picture(
        "reconstructions",
        image_rows_figure(rows, title=""),
        title="From the best to the worst",
        caption="Images above what the decoder makes of them, at even steps through the whole split in the order of "
        f"their squared error: the best on the left ({errors[0]:.4f} per pixel), the usual in the middle, the worst on "
        f"the right ({errors[-1]:.4f}).",
        alt=f"{len(chosen)} images, each above its reconstruction.",
    )


def _interpolations(
    model: MultiTaskImageTransformer, evaluation: Evaluation, latent: Repainting, classes: Sequence[str]
) -> list[Picture]:
    labels = evaluation.outputs.labels.tolist()
    drawn = drawn_images(evaluation.outputs.labels, count=2 * WALKS).tolist()
    walks = [(start, end) for start, end in zip(drawn[::2], drawn[1::2], strict=False) if labels[start] != labels[end]]
    if not walks:
        return []
    shares = torch.linspace(0, 1, STEPS)[:, None]
    rows = [
        ImageRow(
            _decoded(model, latent.mean[start].lerp(latent.mean[end], shares)),
            name=classes[labels[start]],
            note=f"to {classes[labels[end]]}",
        )
        for start, end in walks
    ]
    return [
        picture(
            "interpolations",
            image_rows_figure(rows, title=""),
            title="From one class to another",
            caption="Straight walks through the latent space, from one image to one of another class, painted at even "
            "steps. Where the space is in order, what lies between looks like an image too.",
            alt=f"Walks through the latent space: {', '.join(f'{row.name} {row.note}' for row in rows)}.",
        )
    ]


def _traversal(
    model: MultiTaskImageTransformer, evaluation: Evaluation, latent: Repainting, classes: Sequence[str]
) -> Picture:
    knowledge = torch.tensor(evaluation.figures["kl_per_dimension"])
    start = int(latent.squared_error.argsort(stable=True)[len(latent.squared_error) // 2])
    name = classes[int(evaluation.outputs.labels[start])]
    rows = []
    for dimension in knowledge.argsort(descending=True, stable=True)[:DIMENSIONS].tolist():
        walk = latent.mean[start].repeat(STEPS, 1)
        low, high = torch.quantile(latent.mean[:, dimension][:SURVEYED], torch.tensor([REACH, 1 - REACH])).tolist()
        walk[:, dimension] = torch.linspace(low, high, STEPS)
        note = f"{knowledge[dimension]:.1f} nats"
        rows.append(ImageRow(_decoded(model, walk), name=f"dim. {dimension}", note=note))
    return picture(
        "traversal",
        image_rows_figure(rows, title=""),
        title="One dimension at a time",
        caption=f"The usual image, of class {name}: half of all are repainted better. One number of its latent goes "
        f"through the values that images have, but for {REACH:.0%} at either end, while the others stay. The "
        f"{len(rows)} dimensions are those that tell most about an image, by their KL divergence.",
        alt=f"Traversals of {len(rows)} latent dimensions.",
    )


def _samples(model: MultiTaskImageTransformer, evaluation: Evaluation) -> Picture:
    painted = model.sample(SAMPLES, torch.Generator().manual_seed(0)).float().cpu()
    return picture(
        "samples",
        image_rows_figure([ImageRow(row) for row in torch.split(painted, SAMPLES_IN_A_ROW)], title=""),
        title="Painted from chance",
        caption="Latents drawn from the prior N(0, I) instead of from an image. Training pulls the images' own latents "
        "towards it, as strongly as kl_weight says. The farther they stay away, the less does a latent from the prior "
        f"look like an image; here it is {evaluation.figures['kl_divergence']:.0f} nats an image.",
        alt=f"{SAMPLES} images painted from random latents.",
    )


def _dimensions(evaluation: Evaluation, latent: Repainting) -> Picture:
    knowledge, active = torch.tensor(evaluation.figures["kl_per_dimension"]), evaluation.figures["active_units"]
    return picture(
        "latent",
        latent_figure(knowledge, active=active_units(latent.mean), title=""),
        title="What the latent knows",
        caption=f"The KL divergence of each latent dimension, in nats: what it tells about an image. {active} of "
        f"{len(knowledge)} dimensions are active. Training has switched off those that tell nothing.",
        alt=f"Bars of the KL divergence of {len(knowledge)} dimensions, {active} of them active.",
    )


def _decoded(model: MultiTaskImageTransformer, latent: Tensor) -> Tensor:
    """Paint latents (B, L) that lie on the CPU: images (B, C, H, W) on the CPU."""
    device = next(model.parameters()).device
    return model.decode(latent.to(device)).float().cpu()
