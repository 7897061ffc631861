"""The model card of a bundle, in the form that the Hugging Face Hub reads: what the model is, how it is used."""

import json
from pathlib import Path

from triptych.artefacts.bundle import WEIGHTS
from triptych.artefacts.description import ModelDescription, Quantisation
from triptych.artefacts.export.pictures import CAPTIONS
from triptych.artefacts.model import TrainedModel

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


def model_card(description: ModelDescription, model: TrainedModel, *, folder: Path, size: int) -> str:
    """Return the card as Markdown with YAML front matter.

    Args:
        description: Of the model, with what was measured.
        model: The model.
        folder: The bundle, with its pictures.
        size: Bytes of its files.
    """
    metrics = {name: description.metrics[name] for name in NAMES if name in description.metrics}
    shown = {name: caption for name, caption in CAPTIONS.items() if (folder / name).exists()}
    is_compact = not (folder / WEIGHTS).exists()
    lines = [
        *_front_matter(description, metrics),
        *_introduction(description, model),
        *_table(metrics, description.metrics.get("measured_images")),
        *(_quantisation(description.quantisation) if description.quantisation else []),
        *(["## Pictures", ""] if shown else []),
        *(line for name, caption in shown.items() for line in (f"![{caption}]({name})", "", f"*{caption}.*", "")),
        *_details(description, size=size, is_compact=is_compact),
    ]
    return "\n".join(lines)


def _front_matter(description: ModelDescription, metrics: dict[str, float | int]) -> list[str]:
    dataset = _quoted(description.config.dataset.title)
    lines = ["---", "library_name: triptych", "pipeline_tag: image-feature-extraction", "tags:", "- image-embeddings"]
    lines += ["- metric-learning", "- onnx"]
    if metrics:
        lines += ["model-index:", f"- name: {dataset}", "  results:", "  - task:"]
        lines += ["      type: image-feature-extraction", "    dataset:", f"      name: {dataset}"]
        lines += [f"      type: {dataset}", "      split: test", "    metrics:"]
        for name, value in metrics.items():
            lines += [f"    - type: {name}", f"      name: {_quoted(NAMES[name])}", f"      value: {value:.6g}"]
    return [*lines, "---", ""]


def _introduction(description: ModelDescription, model: TrainedModel) -> list[str]:
    shape = description.preprocessing.shape
    latent = f", and a latent of {model.latent_dim} dimensions that is decoded to images" if model.latent_dim else ""
    colours = "1 channel" if shape[0] == 1 else f"{shape[0]} channels"
    return [
        f"# Image embeddings of {_escaped(description.config.dataset.title)}",
        "",
        f"A {'multi-task ' if model.latent_dim else ''}model of Triptych {description.version}: images of "
        f"{shape[1]}x{shape[2]} pixels and {colours} to embeddings of {model.embedding_dim} dimensions, "
        f"{len(description.classes)} classes{latent}.",
        "",
        "```python",
        "import triptych",
        "",
        'model = triptych.load("this-folder")',
        'vectors = model.embed("photos").vectors',
        'names, probabilities = model.classify("photo.jpg")',
        "```",
        "",
    ]


def _table(metrics: dict[str, float | int], images: float | int | None) -> list[str]:
    if not metrics:
        return []
    drawn = f" MAP@R was measured on {images:,} of them." if images else ""
    rows = [f"| {NAMES[name]} | {value:.4f} |" for name, value in metrics.items()]
    text = [f"On the test images of the run.{drawn}", ""]
    return ["## Test metrics", "", *text, "| metric | value |", "|---|---|", *rows, ""]


def _quantisation(found: Quantisation) -> list[str]:
    rows = [
        ("MAP@R", "{:.4f}", found.map_at_r),
        ("accuracy", "{:.4f}", found.accuracy),
        ("milliseconds an image", "{:.3f}", found.milliseconds),
    ]
    return [
        "## 8-bit integers",
        "",
        f"`{found.file}` computes the same in 8-bit integers, with ranges from {found.calibration_images} training "
        f"images. Measured on {found.images:,} {found.split} images, the time in batches of {found.batch_size} on one "
        f"CPU thread; the mean cosine similarity of the two embeddings is {found.cosine_similarity:.4f}.",
        "",
        "| | float32 | int8 |",
        "|---|---|---|",
        *(f"| {name} | {form.format(by['float32'])} | {form.format(by['int8'])} |" for name, form, by in rows),
        "",
        f"It has a fingerprint of its own, `{found.fingerprint}`.",
        "",
    ]


def _details(description: ModelDescription, *, size: int, is_compact: bool) -> list[str]:
    classes = [_escaped(name) for name in description.classes[:LONGEST_LIST]]
    more = len(description.classes) - len(classes)
    form = description.preprocessing
    return [
        "## Details",
        "",
        f"- Classes: {', '.join(classes)}{f' and {more:,} more' if more > 0 else ''}.",
        f"- Preprocessing: {form.fit} to {form.shape[1]}x{form.shape[2]}, {form.pad} pixels of padding; "
        "standardisation is inside the model.",
        f"- Model fingerprint: `{description.fingerprint}`. Embeddings of different fingerprints cannot be compared.",
        *([f"- Data fingerprint: `{description.data_fingerprint}`."] if description.data_fingerprint else []),
        *(["- ONNX files alone, with weights rounded to float16; computing is in float32."] if is_compact else []),
        f"- Size of all files: {size / 2**20:.2f} MiB.",
        "",
    ]


def _quoted(text: str) -> str:
    """Write text as a YAML string in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _escaped(text: str) -> str:
    """Keep names of classes from being read as Markdown or HTML."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>#|!" else letter for letter in text.replace("\n", " "))
