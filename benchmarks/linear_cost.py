"""Cost of an epoch from 5 thousand to 500 thousand images, and of mining up to batches of 4,096.

    python benchmarks/linear_cost.py epoch [--sizes 5000 ... 500000] [--model small | shipped]
    python benchmarks/linear_cost.py mining [--batches 256 1024 4096] [--only NAME ...]

epoch: MNIST's images, and random ones beyond them, through all that `triptych train` does in an epoch: split, padding
and pixel statistics ("prepare"), and `Trainer.fit` with the config's batches, augmentation, losses, optimiser, logs,
guards, validation and checkpoints ("epoch"); and the loader alone ("feed", a part of the epoch). The small model has 1
block of width 16: then data and bookkeeping weigh more than in a real run, and their growth cannot hide behind the
model's. Each size has a process of its own, in which a small epoch has run before. Memory is the most that was held at
any time, above what was held before the images were there. The exponent is the slope of a fit in log-log scale:
1.0 is linear, less means that fixed costs weigh in small sizes.

mining: forward and backward passes of each BatchTripletLoss over random embeddings (64 dimensions, 10 classes); memory
is that of the first, above the embeddings. The soft margin with mining "all" visits B³ triplets: minutes at 4,096.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from measuring import conditions, in_own_process, one_key_a_line, peak_bytes, resident_bytes
from shipped_way import FLOAT32, fit_shipped, shipped_config

from triptych.data.builder import load_dataset
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.losses import BatchTripletLoss, Mining
from triptych.training.hardware.tuning import tuned_process

CONFIG = Path(__file__).parents[1] / "configs" / "mnist.yaml"
SIZES = (5_000, 16_000, 50_000, 160_000, 500_000)
MODELS = {
    "small": ("model.embed_dim=16", "model.num_heads=1", "model.num_layers=1", "model.decoder_dim=8"),
    "shipped": (),
}
SMALL_EPOCH = 1_000
"""Number of images of the warm-up epoch."""


class Loss(NamedTuple):
    """Arguments of BatchTripletLoss."""

    margin: float | None
    mining: Mining


LOSSES = {
    "all": Loss(0.2, "all"),
    "semihard": Loss(0.2, "semihard"),
    "hard": Loss(0.2, "hard"),
    "hard, soft margin": Loss(None, "hard"),
    "all, soft margin": Loss(None, "all"),
}


@tuned_process()
def epoch_cost(size: int, model: str) -> dict[str, Any]:
    """Measure an epoch over so many images, of which the config's share is validated."""
    config = shipped_config(CONFIG, ["training.epochs=1", FLOAT32, *MODELS[model]])
    real = load_dataset(config.dataset.name, root=config.dataset.root)
    fit_shipped(config, ImageDataModule(config, grown(real, SMALL_EPOCH)))

    before = resident_bytes()
    images = grown(real, size)
    began = time.perf_counter()
    data = ImageDataModule(config, images)
    data.pixel_statistics()
    prepared = time.perf_counter()
    for _ in data.train_dataloader():
        pass
    fed = time.perf_counter()
    fit_shipped(config, data)
    seconds = {"prepare": prepared - began, "feed": fed - prepared, "epoch": time.perf_counter() - fed}
    return {
        "images": size,
        **{f"{name}_us_per_image": round(1e6 * spent / size, 2) for name, spent in seconds.items()},
        "bytes_per_image": round((peak_bytes() - before) / size),
    }


def grown(data: ImageData, size: int) -> ImageData:
    """Return a copy with `size` training images, the real ones and random ones beyond them, and few test images."""
    real, test = data.train, Split(data.test.images[:SMALL_EPOCH], data.test.labels[:SMALL_EPOCH])
    images = torch.randint(0, 256, (size, *real.images.shape[1:]), dtype=torch.uint8)
    images[: len(real)] = real.images[:size]
    labels = torch.arange(size) % len(data.classes)
    labels[: len(real)] = real.labels[:size]
    return ImageData(Split(images, labels), test, data.classes, data.origin)


def mining_cost(name: str, batch: int) -> dict[str, Any]:
    """Measure one way of mining at one batch size."""
    loss = BatchTripletLoss(margin=LOSSES[name].margin, mining=LOSSES[name].mining)
    torch.manual_seed(0)
    labels = torch.randint(0, 10, (batch,))
    embeddings = F.normalize(torch.randn(batch, 64)).requires_grad_()
    loss(embeddings[:64], labels[:64]).backward()
    before, extra = resident_bytes(), 0
    times: list[float] = []
    while not times or (len(times) < 5 and sum(times) < 5):
        began = time.perf_counter()
        loss(embeddings, labels).backward()
        times.append(time.perf_counter() - began)
        extra = extra or peak_bytes() - before
    return {
        "mining": name,
        "batch": batch,
        "ms": round(1e3 * statistics.median(times), 2),
        "n": len(times),
        "peak_mib": round(extra / 2**20, 1),
        "bytes_per_pair": round(extra / batch**2, 1),
    }


def exponent(rows: list[dict[str, Any]], name: str) -> float | None:
    """Return the slope of log(cost of all images) over log(images)."""
    if len(rows) < 2:
        return None
    images = np.array([row["images"] for row in rows])
    return round(float(np.polyfit(np.log(images), np.log([row[name] * row["images"] for row in rows]), 1)[0]), 3)


def main() -> None:
    """Measure, a row at a time, and print everything at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["epoch", "mining"])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--model", choices=MODELS, default="small")
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--only", nargs="+", choices=LOSSES, default=list(LOSSES))
    given = parser.parse_args()

    if given.what == "epoch":
        rows = [in_own_process(epoch_cost, size, given.model) for size in given.sizes]
        costs = [name for name in rows[0] if name != "images"]
        report: dict[str, Any] = {"config": CONFIG.name, "model": given.model, "timed": "all of an epoch"}
        report |= {f"{row['images']} images": row for row in rows}
        report["exponents"] = {name.removesuffix("_per_image"): exponent(rows, name) for name in costs}
    else:
        cells = [(name, batch) for name in given.only for batch in given.batches]
        report = {f"{name}, {batch}": in_own_process(mining_cost, name, batch) for name, batch in cells}
    print(one_key_a_line({**report, **conditions(shipped_config(CONFIG, [FLOAT32]))}))


if __name__ == "__main__":
    main()
