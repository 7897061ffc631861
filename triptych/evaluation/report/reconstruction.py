"""Figures of the decoder: reconstructions, interpolations, traversals and samples, and the latent dimensions."""

from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.evaluation.measuring.measured import Evaluation
from triptych.evaluation.measuring.outputs import Reconstructed, reconstructions
from triptych.evaluation.report.pictures import Picture, drawn_images, picture
from triptych.evaluation.table import three_digits
from triptych.metrics import active_units
from triptych.models import MultiTaskImageTransformer
from triptych.visualisation import ImageRow, image_rows_figure, latent_figure

SHOWN = 12
SAMPLES = 36
SAMPLES_IN_A_ROW = 12
WALKS = 6
STEPS = 11
DIMENSIONS = 8
SURVEYED = 10_000
"""Images whose latents decide how far a traversal goes."""
REACH = 0.02
"""Share of the images that lies beyond either end of a traversal."""


@torch.inference_mode()
def reconstruction_pictures(
    model: MultiTaskImageTransformer, evaluation: Evaluation, classes: Sequence[str]
) -> list[Picture]:
    """Draw reconstructions, interpolations, samples, a traversal, and the latent dimensions."""
    latent = evaluation.outputs.reconstructed
    assert latent is not None
    return [
        _best_to_worst(model, evaluation, latent),
        *_interpolations(model, evaluation, latent, classes),
        _traversal(model, evaluation, latent, classes),
        _samples(model, evaluation),
        _dimensions(evaluation, latent),
    ]


def _best_to_worst(model: MultiTaskImageTransformer, evaluation: Evaluation, latent: Reconstructed) -> Picture:
    order = latent.mse.argsort(stable=True)
    chosen = order[torch.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().long()]
    images, errors = evaluation.split.images[chosen], latent.mse[chosen].tolist()
    rows = [
        ImageRow(images.cpu().float() / 255, name="original"),
        ImageRow(
            reconstructions(model, images), name="reconstruction", captions=list(map(three_digits, errors)), joined=True
        ),
    ]
    return picture(
        "reconstructions",
        image_rows_figure(rows),
        title="Reconstructions, from the best to the worst",
        caption="Images above their reconstructions, at even steps through the whole split in the order of their mean "
        f"squared error of a pixel in [0, 1]: the smallest on the left ({three_digits(errors[0])}), the median in the "
        f"middle, the largest on the right ({three_digits(errors[-1])}).",
        alt=f"{len(chosen)} images, each above its reconstruction.",
        files=[evaluation.name(row) for row in chosen.tolist()],
    )


def _interpolations(
    model: MultiTaskImageTransformer, evaluation: Evaluation, latent: Reconstructed, classes: Sequence[str]
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
            image_rows_figure(rows),
            title="Interpolations between classes",
            caption="Straight lines through the latent space, from one image to one of another class, decoded at even "
            "steps. In a well-ordered latent space the images between look natural too.",
            alt=f"Interpolations in the latent space: {', '.join(f'{row.name} {row.note}' for row in rows)}.",
            files=[f"{evaluation.name(start)}, {evaluation.name(end)}" for start, end in walks],
        )
    ]


def _traversal(
    model: MultiTaskImageTransformer, evaluation: Evaluation, latent: Reconstructed, classes: Sequence[str]
) -> Picture:
    knowledge = torch.tensor(evaluation.figures["kl_per_dimension"])
    start = int(latent.mse.argsort(stable=True)[len(latent.mse) // 2])
    name = classes[int(evaluation.outputs.labels[start])]
    rows = []
    for dimension in knowledge.argsort(descending=True, stable=True)[:DIMENSIONS].tolist():
        latents = latent.mean[start].repeat(STEPS, 1)
        low, high = torch.quantile(latent.mean[:, dimension][:SURVEYED], torch.tensor([REACH, 1 - REACH])).tolist()
        latents[:, dimension] = torch.linspace(low, high, STEPS)
        note = f"{knowledge[dimension]:.1f} nats"
        rows.append(ImageRow(_decoded(model, latents), name=f"dim. {dimension}", note=note))
    return picture(
        "traversal",
        image_rows_figure(rows),
        title="Latent traversals",
        caption=f"An image of class {name} with the median reconstruction error. One dimension of its latent runs "
        f"through the values that occur, except for {REACH:.0%} at either end, while the others stay fixed. The "
        f"{len(rows)} dimensions are those with the largest KL divergence, which hold most information.",
        alt=f"Traversals of {len(rows)} latent dimensions.",
        files=[evaluation.name(start)],
    )


def _samples(model: MultiTaskImageTransformer, evaluation: Evaluation) -> Picture:
    drawn = model.sample(SAMPLES, torch.Generator().manual_seed(0)).float().cpu()
    return picture(
        "samples",
        image_rows_figure([ImageRow(row) for row in torch.split(drawn, SAMPLES_IN_A_ROW)]),
        title="Samples from the prior",
        caption="Images decoded from latents that are drawn from the prior N(0, I). Training pulls the latents of "
        "images towards the prior, as strongly as kl_weight sets. The larger their KL divergence, here "
        f"{evaluation.figures['kl_divergence']:.0f} nats per image, the less natural the samples look.",
        alt=f"{SAMPLES} images decoded from random latents.",
    )


def _dimensions(evaluation: Evaluation, latent: Reconstructed) -> Picture:
    knowledge, active = torch.tensor(evaluation.figures["kl_per_dimension"]), evaluation.figures["active_units"]
    return picture(
        "latent",
        latent_figure(knowledge, active=active_units(latent.mean)),
        title="Information in the latent dimensions",
        caption=f"The KL divergence of each latent dimension from the prior, in nats. {active} of {len(knowledge)} "
        "dimensions are active: they vary with the image. The others hold no information.",
        alt=f"Bars of the KL divergence of {len(knowledge)} dimensions, {active} of them active.",
    )


def _decoded(model: MultiTaskImageTransformer, latent: Tensor) -> Tensor:
    """Decode latents (B, L) on the CPU to images (B, C, H, W) on the CPU."""
    device = next(model.parameters()).device
    return model.decode(latent.to(device)).float().cpu()
