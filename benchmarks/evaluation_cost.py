"""CPU seconds of `init`, `doctor`, and of the parts of `evaluate` and `audit`, by number of images.

python benchmarks/evaluation_cost.py [--images 100 10000 100000] [--side 32]

Random images of ten classes, 80 % for training, 10 % each for validation and test, and an untrained model: the time of
these parts does not depend on what was learned. `init` and `doctor` read the images from PNG files. CPU time of all
threads, so that a busy machine counts the same as an idle one.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.evaluation.audit.audit import Audit, _ranked
from triptych.evaluation.audit.labels import doubt_labels
from triptych.evaluation.audit.outliers import find_outliers
from triptych.evaluation.audit.pool import pool_images
from triptych.evaluation.audit.tables import write_tables
from triptych.evaluation.measuring import measured
from triptych.evaluation.measuring.baselines import measure_baselines
from triptych.evaluation.measuring.measures import per_image, split_figures
from triptych.evaluation.measuring.outputs import model_outputs
from triptych.evaluation.opening import OpenedModel
from triptych.evaluation.report import report_pictures, write_report
from triptych.inspection import examine
from triptych.inspection.duplicates import find_duplicates
from triptych.inspection.suggestion import suggest_config
from triptych.models.builder import build_model


def timed(name: str, action: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the part returns
    """Run a part, and print its CPU seconds and the largest memory so far."""
    begun = time.process_time()
    result = action()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"| {name:32s} | {time.process_time() - begun:8.2f} | {memory:6.2f} |", flush=True)
    return result


def images(count: int, side: int, seed: int) -> Split:
    """Random images around a random centre for each class."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randint(0, 200, (10, 3, side, side), generator=torch.Generator().manual_seed(9))
    labels = torch.arange(count) % 10
    pixels = torch.empty(count, 3, side, side, dtype=torch.uint8)
    for start in range(0, count, 1000):
        rows = labels[start : start + 1000]
        noise = torch.randint(0, 56, (len(rows), 3, side, side), generator=generator)
        pixels[start : start + 1000] = (centres[rows] + noise).byte()
    return Split(pixels, labels)


def inspect(count: int, side: int) -> None:
    """Print the cost of `init` and `doctor` on a folder of PNG files, with an empty cache and a filled one."""
    print(f"\n{count:,} PNG files of {side}x{side}x3: CPU seconds, GiB\n| inspection | s | GiB |\n|---|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = f"{name}/cache"
        root = Path(name, "photos")
        made = images(count, side, 1)
        for label in range(10):
            (root / f"class {label}").mkdir(parents=True)
        for number, (pixels, label) in enumerate(zip(made.images, made.labels.tolist(), strict=True)):
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(root / f"class {label}" / f"{number}.png")
        suggestion = timed("init", lambda: suggest_config(root, image_size=side))
        timed("doctor, images decoded", lambda: examine(suggestion.config))
        timed("doctor, images in the cache", lambda: examine(suggestion.config))


def profile(count: int, side: int) -> None:
    """Print a table of the parts."""
    config = RunConfig.model_validate(
        {"dataset": {"name": "cifar10"}, "model": {"embed_dim": 32, "num_layers": 1, "num_heads": 2}}
    )
    test = max(count // 10, 20)
    data = ImageDataModule(
        config,
        ImageData(images(count - 2 * test, side, 1), images(test, side, 2), tuple("abcdefghij"), "made",
                  validation=images(test, side, 3)),
    )  # fmt: skip
    model = build_model(config, num_classes=10, pixel_mean=(0.5,) * 3, pixel_std=(0.3,) * 3)
    print(f"\n{count:,} images of {side}x{side}x3: CPU seconds, GiB\n| evaluate | s | GiB |\n|---|---:|---:|")
    gallery = timed("outputs, training images", lambda: model_outputs(model, data.train))
    outputs = timed("outputs, test images", lambda: model_outputs(model, data.test))
    table = timed("retrieval of each image, intervals", lambda: per_image(outputs, gallery=gallery))
    timed("figures", lambda: split_figures(table, outputs, gallery=gallery, pixels=3 * side * side))
    samples = config.logging.tsne_samples
    timed("t-SNE", lambda: measured.map_embeddings(outputs, samples=samples, seed=0))
    timed("baselines", lambda: measure_baselines(data.train, data.test, embedding_dim=64, latent_dim=64))
    evaluation = measured.measure(model, data, split="test")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = timed("figures of the report", lambda: report_pictures(model, data, evaluation))
        opened = OpenedModel(model, data, folder, None, "a.ckpt")
        timed("report.html", lambda: write_report(folder / "report.html", opened, evaluation, pictures))
        print("| **audit** | | |")
        pool = timed("outputs and neighbours, all images", lambda: pool_images(model, data))
        doubts, outliers = timed("label errors, outliers", lambda: (doubt_labels(pool), find_outliers(pool)))
        duplicates = timed("duplicates", lambda: find_duplicates(pool.images, pool.neighbours))
        rows = [_ranked(found.score, found.likely, 200) for found in (doubts, outliers)]
        audit = Audit(pool, data.classes, doubts, rows[0], duplicates, outliers, rows[1])
        timed("tables", lambda: write_tables(folder, audit))


def main() -> None:
    """Profile each number of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[100, 10_000, 100_000])
    parser.add_argument("--side", type=int, default=32)
    given = parser.parse_args()
    for count in given.images:
        inspect(count, given.side)
        profile(count, given.side)


if __name__ == "__main__":
    main()
