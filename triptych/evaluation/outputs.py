"""What a trained model says of the images of a split: computed once, for everything that is measured or drawn of it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.data.draws import Draws
from triptych.data.images import Split
from triptych.models import ImageTransformer, MultiTaskImageTransformer
from triptych.models.latent import reparameterise

# N images, E embedding_dim, K classes, L latent_dim.

BATCH = 512

Model = ImageTransformer | MultiTaskImageTransformer


@dataclass(frozen=True, eq=False)
class Repainting:
    """What the third panel says of each image, on the CPU.

    Attributes:
        mean: Of the posterior, (N, L).
        log_variance: Of the posterior, (N, L).
        squared_error: Of the reconstruction from the mean, per pixel in [0, 1], the mean over pixels, (N,).
        sampled_error: The same of a reconstruction from one sample of the posterior, (N,).
    """

    mean: Tensor
    log_variance: Tensor
    squared_error: Tensor
    sampled_error: Tensor


@dataclass(frozen=True, eq=False)
class ModelOutputs:
    """What a model says of each image of a split, in the split's order, float32 on the CPU.

    Attributes:
        labels: The true classes, (N,) int64.
        embeddings: Of L2 norm 1, (N, E).
        logits: Before the softmax, (N, K).
        repainting: The decoder's part; None for a model without one.
    """

    labels: Tensor
    embeddings: Tensor
    logits: Tensor
    repainting: Repainting | None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def probabilities(self) -> Tensor:
        """The softmax of the logits, (N, K)."""
        return self.logits.softmax(1)


@torch.inference_mode()
def model_outputs(model: Model, split: Split) -> ModelOutputs:
    """Run a model, evaluating, over all images of a split, on the model's device.

    The sample of the posterior is drawn from the image's position alone: the same model and split give the same
    numbers.
    """
    model.eval()
    device = next(model.parameters()).device
    embeddings, logits, repainted = [], [], []
    for start in range(0, len(split), BATCH):
        images = split.images[start : start + BATCH].to(device).float() / 255
        output = model(images)
        embeddings.append(output.embedding.float().cpu())
        logits.append(output.logits.float().cpu())
        if isinstance(model, MultiTaskImageTransformer):
            draws = Draws(seed=0, epoch=0, index=torch.arange(start, start + len(images), device=device))
            noise = draws.normal("posterior", model.latent_dim)
            sampled = model.decode(reparameterise(output.mean, output.log_variance, noise))
            errors = [(view - images).square().flatten(1).mean(1) for view in (output.reconstruction, sampled)]
            repainted.append([part.float().cpu() for part in (output.mean, output.log_variance, *errors)])
    repainting = Repainting(*(torch.cat(parts) for parts in zip(*repainted, strict=True))) if repainted else None
    return ModelOutputs(split.labels.cpu(), torch.cat(embeddings), torch.cat(logits), repainting)


@torch.inference_mode()
def reconstructions(model: MultiTaskImageTransformer, images: Tensor) -> Tensor:
    """Repaint uint8 images (N, C, H, W) from the mean of their latents: pixels in [0, 1], float32 on the CPU."""
    model.eval()
    device = next(model.parameters()).device
    return torch.cat(
        [model.reconstruct(part.to(device).float() / 255).float().cpu() for part in torch.split(images, BATCH)]
    )
