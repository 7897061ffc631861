"""The loss of a trained model on a split, with its terms and the accuracy, as in validation during training."""

import torch
from torch import Tensor

from triptych.data.batches.sampling import FixedBatchSampler
from triptych.data.batches.triplets import TripletDataset
from triptych.data.images import Split
from triptych.evaluation.measuring.outputs import BATCH, Model
from triptych.losses import MultiTaskLoss, squared_errors
from triptych.models import MultiTaskImageTransformer

DRAWN = ("positive", "negative")
"""What a loss over drawn triplets compares an embedding with."""


@torch.inference_mode()
def training_figures(
    model: Model, loss: MultiTaskLoss, split: Split, *, batch_size: int, seed: int, pad: int = 0
) -> dict[str, float]:
    """Measure accuracy, loss and terms in float32: the same model and split give the same figures every time.

    The triplets are those of batches in one fixed random order, or drawn with the seed if the loss uses drawn triplets.

    Args:
        model: The model, on any device; it is set to evaluation mode.
        loss: The training loss.
        split: The images.
        batch_size: Number of images per batch.
        seed: Seed of batches and triplets.
        pad: Width of the border that was added to the images, which `mse` omits.

    Returns:
        "accuracy", "loss", the terms by name, and, of a model with a decoder, "mse": means over the images.
    """
    rows = _rows(model, loss, split, pad=pad)
    triplets = TripletDataset(split.images, split.labels, seed=seed) if DRAWN[0] in rows else None
    sums: dict[str, float] = {}
    for indices in FixedBatchSampler(len(split), batch_size=batch_size, seed=seed):
        batch = {name: row[indices.to(row.device)] for name, row in rows.items()}
        if triplets is not None:
            for name, drawn in zip(DRAWN, triplets.triplet_indices(indices), strict=True):
                batch[name] = rows["embedding"][drawn.to(rows["embedding"].device)]
        breakdown = loss(batch)
        for name, value in {"loss": breakdown.total, **breakdown.terms}.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(indices)
    correct = int((rows["logits"].argmax(1) == rows["label"]).sum())
    figures = {name: value / len(split) for name, value in sums.items()}
    if "squared_error" in rows:
        figures["mse"] = float(rows["squared_error"].double().mean())
    return {"accuracy": correct / len(split), **figures}


def _rows(model: Model, loss: MultiTaskLoss, split: Split, *, pad: int) -> dict[str, Tensor]:
    """Run the model on the split, and return the inputs of the loss for each image, in the order of the split."""
    model.eval()
    device = next(model.parameters()).device
    parts: list[dict[str, Tensor]] = []
    for start in range(0, len(split), BATCH):
        images = split.images[start : start + BATCH].to(device).float() / 255
        output = model(images)
        outputs = {
            "embedding": output.embedding,
            "logits": output.logits,
            "label": split.labels[start : start + BATCH].to(device),
        }
        kept = dict(outputs)
        if isinstance(model, MultiTaskImageTransformer):
            outputs |= {
                "reconstruction": output.reconstruction,
                "image": images,
                "mean": output.mean,
                "log_variance": output.log_variance,
            }
            kept["squared_error"] = squared_errors(output.reconstruction, images, pad=pad)
        # Positives and negatives are selected from all embeddings afterwards.
        outputs |= dict.fromkeys(DRAWN, output.embedding)
        parts.append(kept | loss.rows(outputs))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
