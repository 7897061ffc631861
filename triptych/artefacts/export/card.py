"""The model card of a bundle, in the format of the Hugging Face Hub."""

import json
from pathlib import Path

from triptych.artefacts.bundle import WEIGHTS
from triptych.artefacts.description import ModelDescription
from triptych.artefacts.export.pictures import CAPTIONS
from triptych.artefacts.model import TrainedModel

LONGEST_LIST = 50
"""Maximum number of listed class names."""
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
"""The metrics of the table, in order."""


def model_card(description: ModelDescription, model: TrainedModel, *, folder: Path, size: int) -> str:
    """Return the card as Markdown with YAML front matter: `card.md`, filled in.

    Args:
        description: Description of the model, with its metrics.
        model: The model.
        folder: The bundle, with its pictures.
        size: Size of its files in bytes.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(  # noqa: S701 - the card is Markdown, which `escaped` escapes
        loader=PackageLoader("triptych.artefacts", "export"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"escaped": _escaped, "quoted": lambda text: json.dumps(text, ensure_ascii=False)}
    return templates.get_template("card.md").render(
        description=description,
        model=model,
        form=description.preprocessing,
        names=NAMES,
        metrics={name: description.metrics[name] for name in NAMES if name in description.metrics},
        pictures={name: caption for name, caption in CAPTIONS.items() if (folder / name).exists()},
        classes=description.classes[:LONGEST_LIST],
        size=size,
        is_compact=not (folder / WEIGHTS).exists(),
    )


def _escaped(text: str) -> str:
    """Escape Markdown and HTML in class names."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>#|!" else letter for letter in text.replace("\n", " "))
