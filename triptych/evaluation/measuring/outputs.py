"""The outputs of a trained model for the images of a split: computed once, for all that is measured or drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from triptych.data.draws import Draws
from triptych.data.images import Split
from triptych.metrics import reconstruction_scores
from triptych.models import ImageTransformer, MultiTaskImageTransformer
from triptych.models.latent import reparameterise

# N images, C channels, H/W image, E embedding_dim, K classes, L latent_dim.

BATCH = 512

Model = ImageTransformer | MultiTaskImageTransformer


@dataclass(frozen=True, eq=False)
class Reconstructed:
    """Latents and reconstruction errors, of the image itself: a border added by `dataset.pad` does not count.

    Attributes:
        mean: Of the posterior, (N, L).
        log_variance: Of the posterior, (N, L).
        mse: Squared error of the reconstruction from the mean, per pixel in [0, 1], the mean over pixels, (N,).
        psnr: Peak signal-to-noise ratio of the same, in dB, (N,).
        ssim: Structural similarity of the same, (N,).
        sampled_mse: Squared error of a reconstruction from one sample of the posterior, (N,).
    """

    mean: Tensor
    log_variance: Tensor
    mse: Tensor
    psnr: Tensor
    ssim: Tensor
    sampled_mse: Tensor

    def select(self, rows: Tensor) -> "Reconstructed":
        """Return those of some images, (n,)."""
        return Reconstructed(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """The outputs for each image of a split, in the split's order, float32 on the CPU.

    Attributes:
        labels: The true classes, (N,) int64.
        embeddings: Of L2 norm 1, (N, E).
        logits: Before the softmax, (N, K).
        reconstructed: The decoder's part; None for a model without one.
    """

    labels: Tensor
    embeddings: Tensor
    logits: Tensor
    reconstructed: Reconstructed | None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def probabilities(self) -> Tensor:
        """The softmax of the logits, (N, K)."""
        return self.logits.softmax(1)

    def select(self, rows: Tensor) -> "ModelOutputs":
        """Return those of some images, (n,)."""
        part = None if self.reconstructed is None else self.reconstructed.select(rows)
        return ModelOutputs(self.labels[rows], self.embeddings[rows], self.logits[rows], part)


def joined_outputs(outputs: Sequence[ModelOutputs]) -> ModelOutputs:
    """Return the outputs of several splits, one after another, as one; at least one is needed."""
    decoded = [part.reconstructed for part in outputs if part.reconstructed is not None]
    columns = ([getattr(part, field.name) for part in decoded] for field in fields(Reconstructed))
    return ModelOutputs(
        labels=torch.cat([part.labels for part in outputs]),
        embeddings=torch.cat([part.embeddings for part in outputs]),
        logits=torch.cat([part.logits for part in outputs]),
        reconstructed=Reconstructed(*map(torch.cat, columns)) if decoded else None,
    )


@torch.inference_mode()
def model_outputs(model: Model, split: Split, *, pad: int = 0) -> ModelOutputs:
    """Run a model in evaluation mode over all images of a split, on the model's device, in float32.

    The sample of the posterior is drawn from the image's position alone: the same model and split give the same
    numbers.

    Args:
        model: On any device.
        split: The images.
        pad: Width of the border that `dataset.pad` has added to the images.
    """
    model.eval()
    device = next(model.parameters()).device
    embeddings, logits, reconstructed = [], [], []
    for start in range(0, len(split), BATCH):
        images = split.images[start : start + BATCH].to(device).float() / 255
        output = model(images)
        embeddings.append(output.embedding.float().cpu())
        logits.append(output.logits.float().cpu())
        if isinstance(model, MultiTaskImageTransformer):
            draws = Draws(seed=0, epoch=0, index=torch.arange(start, start + len(images), device=device))
            noise = draws.normal("posterior", model.latent_dim)
            sampled = model.decode(reparameterise(output.mean, output.log_variance, noise))
            original = without_border(images, pad)
            scores = reconstruction_scores(without_border(output.reconstruction, pad), original)
            sampled_mse = (without_border(sampled, pad) - original).square().flatten(1).mean(1)
            parts = (output.mean, output.log_variance, *scores, sampled_mse)
            reconstructed.append([part.float().cpu() for part in parts])
    return ModelOutputs(
        labels=split.labels.cpu(),
        embeddings=torch.cat(embeddings),
        logits=torch.cat(logits),
        reconstructed=Reconstructed(*map(torch.cat, zip(*reconstructed, strict=True))) if reconstructed else None,
    )


@torch.inference_mode()
def reconstructions(model: MultiTaskImageTransformer, images: Tensor) -> Tensor:
    """Reconstruct uint8 images (N, C, H, W) from the mean of their latents: pixels in [0, 1], float32 on the CPU."""
    model.eval()
    device = next(model.parameters()).device
    return torch.cat(
        [model.reconstruct(part.to(device).float() / 255).float().cpu() for part in torch.split(images, BATCH)]
    )


def without_border(images: Tensor, pad: int) -> Tensor:
    """Cut a border of so many pixels off images (..., H, W).

    Example:
        >>> without_border(torch.zeros(2, 1, 32, 32), 2).shape
        torch.Size([2, 1, 28, 28])
    """
    return images[..., pad : images.shape[-2] - pad, pad : images.shape[-1] - pad]
