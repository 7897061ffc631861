"""The model card of a bundle, in the form that the Hugging Face Hub reads: what the model is, how it is used."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.artefacts.description import ModelDescription
from triptych.artefacts.model import TrainedModel

COLUMNS = 8
"""Images in a row of the sheet."""
GAP = 2
"""Pixels between two images."""
LONGEST_LIST = 50
"""Class names that are listed."""
NAMES = {
    "accuracy": "accuracy",
    "map_at_r": "MAP@R",
    "precision_at_1": "precision@1",
    "knn_accuracy": "accuracy by the 5 nearest training images",
    "nmi": "NMI",
    "ece": "calibration error (ECE)",
    "mse": "squared error of reconstructions, pixels in [0, 1]",
    "psnr": "PSNR of reconstructions in dB",
    "ssim": "SSIM of reconstructions",
}
"""The metrics of the table, in its order."""


def model_card(description: ModelDescription, model: TrainedModel, *, size: int) -> str:
    """Return the card as Markdown with YAML front matter; `size` is that of the files, in bytes."""
    dataset, shape = description.config.dataset.title, description.preprocessing.shape
    metrics = {title: description.metrics[name] for name, title in NAMES.items() if name in description.metrics}
    results = [f"    - type: {name}\n      value: {value:.6g}" for name, value in metrics.items()]
    front = ["---", "library_name: triptych", "pipeline_tag: image-feature-extraction", "tags:", "- image-embeddings"]
    if results:
        front += ["model-index:", f"- name: {_quoted(dataset)}", "  results:", "  - task:"]
        front += ["      type: image-feature-extraction", "    dataset:", f"      name: {_quoted(dataset)}"]
        front += [f"      type: {_quoted(dataset)}", "      split: test", "    metrics:", *results]
    classes = [_escaped(name) for name in description.classes[:LONGEST_LIST]]
    more = len(description.classes) - len(classes)
    body = [
        "---",
        "",
        f"# Image embeddings of {_escaped(dataset)}",
        "",
        f"A {'multi-task ' if model.latent_dim else ''}model of Triptych "
        f"{description.version}: images of {shape[1]}x{shape[2]} pixels and {shape[0]} channels to embeddings of "
        f"{model.embedding_dim} dimensions, {len(description.classes)} classes"
        + (f", and a latent of {model.latent_dim} dimensions that is decoded to images." if model.latent_dim else "."),
        "",
        "```python",
        "import triptych",
        "",
        'model = triptych.load("this-folder")',
        'vectors = model.embed("photos").vectors',
        'names, probabilities = model.classify("photo.jpg")',
        "```",
        "",
        *(["## Test metrics", "", "| metric | value |", "|---|---|"] if metrics else []),
        *(f"| {name} | {value:.4f} |" for name, value in metrics.items()),
        *([""] if metrics else []),
        *(["## Samples", "", "![images drawn from the prior](samples.png)", ""] if model.latent_dim else []),
        "## Details",
        "",
        f"- Classes: {', '.join(classes)}{f' and {more:,} more' if more > 0 else ''}.",
        f"- Preprocessing: {description.preprocessing.fit} to {shape[1]}x{shape[2]}, "
        f"{description.preprocessing.pad} pixels of padding; standardisation is inside the model.",
        f"- Model fingerprint: `{description.fingerprint}`. Embeddings of different fingerprints cannot be compared.",
        f"- Size of all files: {size / 2**20:.2f} MiB.",
        "",
    ]
    return "\n".join([*front, *body])


def sample_sheet(pictures: NDArray[np.uint8], path: Path) -> None:
    """Write images (N, H, W) or (N, H, W, C) as one PNG, eight in a row."""
    count, height, width, *channels = pictures.shape
    rows = -(-count // COLUMNS)
    sheet = np.full((rows * (height + GAP) - GAP, COLUMNS * (width + GAP) - GAP, *channels), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // COLUMNS * (height + GAP), number % COLUMNS * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    shown = sheet if sheet.ndim == 2 or sheet.shape[-1] == 3 else sheet[..., 0]
    Image.fromarray(shown).save(path)


def _quoted(text: str) -> str:
    """Write text as a YAML string in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _escaped(text: str) -> str:
    """Keep names of classes from being read as Markdown or HTML."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>#|!" else letter for letter in text.replace("\n", " "))
