"""Trained models inside the package: bundles of ONNX files, by the names of the shipped configs.

Each is made by `python benchmarks/zoo.py CHECKPOINT NAME`, which measures it and writes its model card.
"""

from pathlib import Path

NAMES = ("mnist", "fashionmnist", "cifar10", "digits")
"""The models that may be in the package; those that are there have a folder of their name here."""
MOST_BYTES = 12_000_000
"""Of all models together."""


def zoo_folder(name: str) -> Path | None:
    """Return the bundle of a model in the package, or None if there is none of that name.

    Example:
        >>> zoo_folder("nothing") is None
        True
    """
    if name not in NAMES:
        return None
    folder = Path(__file__).parent / name
    return folder if (folder / "config.json").is_file() else None


def zoo_models() -> list[str]:
    """Return the names of the models in the package."""
    return [name for name in NAMES if zoo_folder(name) is not None]
