"""The figures at the end of a run: augmented training triplets, and the map of the test embeddings."""

from pathlib import Path

import torch
from torch import Tensor

from triptych.data.batches.triplets import TripletDataset
from triptych.data.module import ImageDataModule
from triptych.data.pixels.mapped import Images, parts
from triptych.evaluation.measuring.outputs import Model
from triptych.metrics.inputs import stratified_rows
from triptych.visualisation import distinct_names, embedding_figure, project_tsne, save_figure, triplet_figure

TRIPLETS = 8
BATCH = 512


def draw_triplets(data: ImageDataModule, path: Path) -> None:
    """Draw a few triplets of training images, augmented as the run augments them, to `path`."""
    dataset = TripletDataset(data.train.images, data.train.labels, augment=data.augmentation)
    shown = torch.linspace(0, len(dataset) - 1, TRIPLETS).long()
    anchors, positives, negatives, labels = dataset.__getitems__(shown)
    _, negative_indices = dataset.triplet_indices(shown)
    figure = triplet_figure(
        anchors.cpu(),
        positives.cpu(),
        negatives.cpu(),
        labels.cpu(),
        data.train.labels[negative_indices].cpu(),
        classes=distinct_names(data.classes),
        title=f"{data.config.dataset.title}: augmented training triplets",
    )
    save_figure(figure, path)


def draw_embeddings(model: Model, data: ImageDataModule, path: Path, *, samples: int, seed: int) -> None:
    """Draw the t-SNE map of up to `samples` test embeddings, stratified by class, to `path`."""
    split = data.test
    if len(split.labels) > samples:
        split = split.select(stratified_rows(split.labels, at_most=samples, seed=seed))
    points = project_tsne(embed(model, split.images).numpy(), seed=seed)
    figure = embedding_figure(
        points,
        split.labels.cpu().numpy(),
        classes=distinct_names(data.classes),
        title=f"{data.config.dataset.title}: embeddings of {len(split.labels):,} test images",
        subtitle="t-SNE of the L2-normalised embeddings, coloured by class",
    )
    save_figure(figure, path)


@torch.no_grad()
def embed(model: Model, images: Images) -> Tensor:
    """Return the embeddings (N, E), on the CPU, of uint8 images (N, C, H, W)."""
    model.eval()
    device = next(model.parameters()).device
    return torch.cat([model.embed(part.to(device).float() / 255).float().cpu() for part in parts(images, BATCH)])
