"""Put a trained checkpoint into the package, as a bundle that `triptych.load("mnist")` finds by its name.

    python benchmarks/zoo.py lightning_checkpoints/mnist/best.ckpt mnist

Writes triptych/zoo/NAME, and replaces what was there: ONNX files with weights rounded to float16, config.json, and a
model card with pictures and with figures that are measured on the test images of the run, by the rounded model itself.
The four models must fit into 12 MB; as float32 weights and ONNX files they would take 34 MB. ONNX files alone, since
they load with PyTorch and without it.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import triptych
from triptych import zoo
from triptych.artefacts.bundle import read_description
from triptych.artefacts.model import TrainedModel
from triptych.config.datasets import KNOWN_DATASETS


def main() -> None:
    """Export one checkpoint, and state the size of all models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("name", choices=zoo.NAMES)
    given = parser.parse_args()
    place = Path(zoo.__file__).parent
    trained = triptych.load(given.checkpoint, device="cpu")
    with tempfile.TemporaryDirectory(dir=place, prefix=".new-") as scratch:
        made = triptych.export(_anywhere(trained, name=given.name), Path(scratch) / given.name, compact=True)
        shutil.rmtree(place / given.name, ignore_errors=True)
        made.rename(place / given.name)
    metrics = read_description(place / given.name).metrics
    print(", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    sizes = {name: size_of(place / name) for name in zoo.zoo_models()}
    print(", ".join(f"{name} {size:,} bytes" for name, size in sizes.items()), f"together {sum(sizes.values()):,}")
    if sum(sizes.values()) > zoo.MOST_BYTES:
        raise SystemExit(f"expected at most {zoo.MOST_BYTES:,} bytes in the package, got {sum(sizes.values()):,}")


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def _anywhere(model: TrainedModel, *, name: str) -> TrainedModel:
    """Return the model without the place of its images on this machine.

    Raises:
        SystemExit: It was trained on other images than its name states.
    """
    dataset = model.config.dataset
    if dataset.name != name or dataset.name not in KNOWN_DATASETS:
        raise SystemExit(f"expected a model of {name}, got one of {dataset.name}")
    moved = model.config.model_copy(update={"dataset": dataset.model_copy(update={"root": None})})
    description = model.description.model_copy(update={"config": moved})
    return TrainedModel(model._engine, description, path=model.path)


if __name__ == "__main__":
    main()
