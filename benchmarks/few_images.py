"""Few images and many classes: what `triptych init` writes, and a plain convolutional network, at equal CPU seconds.

    OMP_NUM_THREADS=1 python benchmarks/few_images.py [--sets glyphs ...] [--seeds 0 1 2] [--tuning] [--set KEY=VALUE]

Five sets of images are written as folders of PNG files: 20 characters in each of 50 installed fonts, which are the
classes; 100 and 1,000 images of CIFAR-10 (JPEG), 1,000 of Fashion-MNIST, and 100 digits, with at most 2,000 of their
test images. `triptych init` and `triptych train` run on each as a user runs them, and all their CPU seconds count, from
the start of Python to the last picture. The plain network (plain_convnet.py) then trains for as many CPU seconds,
without those of its start, on the same pixels and on the validation images too: once on the images as they are, and
once flipped where the config flips them.

Printed are accuracy on the test images, accuracy of the nearest training image (1-NN), and MAP@R among the test images,
a JSON object a line. For choosing values, `--tuning` measures on other images than the test images.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from image_folders import SETS
from measuring import in_own_process
from plain_convnet import fit_plain
from torch import Tensor

from triptych.config import load_config
from triptych.data.builder import open_images
from triptych.data.images import Split
from triptych.data.module import ImageDataModule
from triptych.evaluation.measuring.outputs import model_outputs
from triptych.metrics import knn_accuracy, retrieval_metrics
from triptych.training.checkpoints.loading import load_lightning_model
from triptych.training.hardware.tuning import tuned_process


def run_triptych(images: Path, work: Path, *, changes: list[str]) -> float:
    """Run `triptych init` and `triptych train`, and return their CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    config, triptych = work / "triptych.yaml", [sys.executable, "-m", "triptych"]
    options = [part for change in changes for part in ("--set", change)]
    for command in (
        [*triptych, "init", str(images), "--out", str(config)],
        [*triptych, "train", str(config), "--output", str(work), *options],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@tuned_process()
def figures_of_triptych(config_file: Path, changes: list[str], *, checkpoint: Path) -> dict[str, float]:
    """Measure a trained model on the test images of its run."""
    config, images = open_images(load_config(config_file, changes))
    module, data = load_lightning_model(checkpoint), ImageDataModule(config, images)
    gallery, test = model_outputs(module.model, data.train), model_outputs(module.model, data.test)
    return _figures(test.logits, test.embeddings, test.labels, gallery.embeddings, gallery.labels)


@tuned_process()
def figures_of_plain(config_file: Path, changes: list[str], *, flips: bool, seconds: float) -> dict[str, float]:
    """Train the plain network on training and validation images, and measure it on the test images."""
    config, images = open_images(load_config(config_file, changes))
    data = ImageDataModule(config, images)
    torch.manual_seed(config.training.seed)
    parts = (data.train, data.validation)
    known = Split(torch.cat([part.images[:] for part in parts]), torch.cat([part.labels for part in parts]))
    mean, deviation = (torch.tensor(each).view(-1, 1, 1) for each in data.pixel_statistics())

    def standardised(pixels: Tensor) -> Tensor:
        return (pixels.float().div(255) - mean) / deviation

    model = fit_plain(
        standardised(known.images[:]), known.labels, num_classes=len(data.classes), flips=flips, seconds=seconds
    )
    with torch.inference_mode():
        gallery, test = (
            torch.cat([model.features(standardised(part)) for part in split.images[:].split(256)])
            for split in (known, data.test)
        )
        return _figures(model.classifier(test), test, data.test.labels, gallery, known.labels)


def _figures(
    logits: Tensor, embeddings: Tensor, labels: Tensor, gallery: Tensor, gallery_labels: Tensor
) -> dict[str, float]:
    return {
        "accuracy": round((logits.argmax(1) == labels).float().mean().item(), 4),
        "1-NN": round(knn_accuracy(embeddings, labels, gallery, gallery_labels, k=1), 4),
        "MAP@R": round(retrieval_metrics(embeddings, labels)["map_at_r"], 4),
    }


def main() -> None:
    """Run both on every set, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change what init wrote")
    parser.add_argument("--tuning", action="store_true", help="measure on other images than the test images")
    given = parser.parse_args()

    for seed in given.seeds:
        for name in given.sets:
            with tempfile.TemporaryDirectory() as temporary:
                work = Path(temporary)
                images, changes = work / name, [*given.set, f"training.seed={seed}", "training.accelerator=cpu"]
                SETS[name](images, seed=seed, tuning=given.tuning)
                seconds = run_triptych(images, work, changes=changes)
                best = next((work / "lightning_checkpoints" / name).glob("best.ckpt"))
                config = load_config(work / "triptych.yaml", changes)
                ours = in_own_process(figures_of_triptych, work / "triptych.yaml", changes, checkpoint=best)
                rows: dict[str, Any] = {"triptych": ours}
                for flips in {False, config.dataset.augmentation.horizontal_flip > 0}:
                    rows["plain, flipped" if flips else "plain"] = in_own_process(
                        figures_of_plain, work / "triptych.yaml", changes, flips=flips, seconds=seconds
                    )
            row = {"set": name, "seed": seed, "cpu_seconds": round(seconds, 1), "epochs": config.training.epochs}
            print(json.dumps({**row, **rows}), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
