"""The pictures of a model card, drawn from test images: reconstructions, nearest neighbours, samples."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.artefacts.engines.engine import Encoded
from triptych.artefacts.model import BATCH_SIZE, TrainedModel
from triptych.artefacts.run_pixels import LabelledPixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# N images, C channels, H/W image.

COLUMNS = 8
"""Number of images per row of the sheet of samples."""
GAP = 2
"""Number of pixels between two images."""
WIDTH = 1000
"""Width of a picture in pixels: half that of the figures, which keeps the pixels of small images square."""
SHOWN = 10
"""Number of images per row of reconstructions."""
QUERIES, NEIGHBOURS = 4, 8

RECONSTRUCTIONS = "reconstructions.png"
NEAREST = "nearest.png"
SAMPLES = "samples.png"
MAP = "embeddings.png"
CAPTIONS = {
    MAP: "A map (t-SNE) of the embeddings of test images",
    NEAREST: "Test images and their nearest neighbours among the others; framed in blue where the class is the same",
    RECONSTRUCTIONS: "Test images above their reconstructions",
    SAMPLES: "Images drawn from the prior",
}
"""Captions of the pictures, in the order of the card."""


def encoded(model: TrainedModel, pixels: NDArray[np.float32]) -> Encoded:
    """Compute embeddings, logits and latents of prepared images (N, C, H, W), a batch at a time."""
    parts = [model.encode_pixels(pixels[start : start + BATCH_SIZE]) for start in range(0, len(pixels), BATCH_SIZE)]
    latents = [part.latents for part in parts if part.latents is not None]
    return Encoded(
        np.concatenate([part.embeddings for part in parts]),
        np.concatenate([part.logits for part in parts]),
        np.concatenate(latents) if latents else None,
    )


def draw_pictures(model: TrainedModel, test: LabelledPixels, outputs: Encoded, folder: Path) -> None:
    """Write the pictures that need images of the run into a folder."""
    if len(test.labels) > NEIGHBOURS:
        _draw_nearest(model, test, outputs, folder / NEAREST)
    if outputs.latents is not None and len(test.labels):
        _draw_reconstructions(model, test, outputs.latents, folder / RECONSTRUCTIONS)


def draw_samples(model: TrainedModel, path: Path, *, count: int = 32) -> None:
    """Write images drawn from the prior as one PNG, eight in a row."""
    pictures = model.sample(count, seed=0)
    _, height, width, *channels = pictures.shape
    rows = -(-count // COLUMNS)
    sheet = np.full((rows * (height + GAP) - GAP, COLUMNS * (width + GAP) - GAP, *channels), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // COLUMNS * (height + GAP), number % COLUMNS * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    shown = sheet if sheet.ndim == 2 or sheet.shape[-1] == 3 else sheet[..., 0]
    image = Image.fromarray(shown)
    larger = max(1, WIDTH // 2 // image.width)
    image.resize((image.width * larger, image.height * larger), Image.Resampling.NEAREST).save(path, optimize=True)


def evenly_chosen(labels: NDArray[np.int64], count: int) -> NDArray[np.intp]:
    """Choose rows evenly among the classes, sorted by class, which is the order of a folder.

    Example:
        >>> evenly_chosen(np.array([0, 0, 0, 0, 0, 1, 1, 2]), 3).tolist()
        [0, 4, 7]
        >>> evenly_chosen(np.array([1, 0]), 3).tolist()
        [1, 0]
    """
    by_class: NDArray[np.intp] = np.argsort(labels, kind="stable")
    chosen: NDArray[np.intp] = by_class[
        np.linspace(0, len(by_class) - 1, min(count, len(by_class))).round().astype(int)
    ]
    return chosen


def shrink(source: Path, path: Path) -> None:
    """Write a picture of a run at the width of the card."""
    with Image.open(source) as image:
        _save(image.convert("RGB"), path)


def _draw_nearest(model: TrainedModel, test: LabelledPixels, outputs: Encoded, path: Path) -> None:
    """Draw the first sampled images of different classes with their nearest neighbours."""
    import torch

    from triptych.visualisation import retrieval_figure

    _, firsts = np.unique(test.labels, return_index=True)
    queries = np.sort(firsts)[:QUERIES]
    similarities = outputs.embeddings[queries] @ outputs.embeddings.T
    similarities[np.arange(len(queries)), queries] = -np.inf
    found = np.argsort(-similarities, axis=1, kind="stable")[:, :NEIGHBOURS]
    pixels = torch.from_numpy(_shown(model, test.pixels))
    labels = torch.from_numpy(test.labels)
    _save_figure(
        retrieval_figure(
            pixels[torch.from_numpy(queries)],
            pixels[torch.from_numpy(found)],
            labels[torch.from_numpy(queries)],
            labels[torch.from_numpy(found)],
            classes=model.classes,
        ),
        path,
    )


def _draw_reconstructions(model: TrainedModel, test: LabelledPixels, latents: NDArray[np.float32], path: Path) -> None:
    import torch

    from triptych.visualisation import ImageRow, image_rows_figure

    chosen = evenly_chosen(test.labels, SHOWN)
    pictures = model.decode(latents[chosen]).reshape(len(chosen), *_shown(model, test.pixels[:1]).shape[2:], -1)
    made = torch.from_numpy(pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    rows = [
        ImageRow(torch.from_numpy(_shown(model, test.pixels[chosen]))),
        ImageRow(made, joined=True),
    ]
    _save_figure(image_rows_figure(rows), path)


def _shown(model: TrainedModel, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove the padding, and use only the first channel unless there are one or three."""
    inner = model.description.preprocessing.without_padding(pixels)
    return inner if inner.shape[1] in (1, 3) else inner[:, :1]


def _save_figure(figure: "Figure", path: Path) -> None:
    from triptych.visualisation import figure_png

    with Image.open(io.BytesIO(figure_png(figure))) as image:
        _save(image.convert("RGB"), path)


def _save(image: Image.Image, path: Path) -> None:
    """Save a picture at the width of the card, in 256 colours."""
    height = max(1, round(image.height * WIDTH / image.width))
    image.resize((WIDTH, height), Image.Resampling.BOX).quantize(256).save(path, optimize=True)
