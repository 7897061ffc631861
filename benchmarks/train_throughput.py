"""Anchors per second of training at one model size: Triptych beside the plain way, in turns, in one run.

    python benchmarks/train_throughput.py [--rounds 5] [--seconds 10]

The plain way: every item is a triplet that PIL rotates and shifts image by image in worker processes, the model runs
three times a step (anchor, positive, negative), AdamW steps, all in float32. Triptych: the shipped MNIST recipe, which
gathers a batch of uint8 tensors, moves all its images in one resampling, mines triplets in the batch and runs the model
once. Both train the same model with the same batch size on the same images, each in a process of its own; both
are timed with everything that a step needs, data included.
"""

import argparse
import json
import multiprocessing
import platform
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from triptych.config import load_config
from triptych.config.schema import RunConfig
from triptych.data.draws import Draws
from triptych.data.loader import BatchLoader
from triptych.data.module import ImageDataModule
from triptych.data.sources import load_dataset
from triptych.losses import BatchTripletLoss, KLDivergenceLoss, ReconstructionLoss
from triptych.models import MultiTaskImageTransformer
from triptych.models.builder import build_model
from triptych.training.modules import build_optimizer

CONFIG = Path(__file__).parents[1] / "configs" / "mnist.yaml"
WORKERS = 2


class PlainTriplets(Dataset[tuple[Tensor, Tensor, Tensor, int]]):
    """A triplet per item, each of its images moved by PIL."""

    def __init__(self, images: Tensor, labels: Tensor, config: RunConfig) -> None:
        self.images = images[:, 0].numpy()
        self.labels = labels.numpy()
        self.classes = np.unique(self.labels)
        self.members = {label: np.flatnonzero(self.labels == label) for label in self.classes}
        self.augmentation = config.dataset.augmentation

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, int]:
        label = self.labels[index]
        positive = np.random.choice(self.members[label])  # noqa: NPY002
        negative = np.random.choice(self.members[np.random.choice(self.classes[self.classes != label])])  # noqa: NPY002
        return self._moved(index), self._moved(positive), self._moved(negative), int(label)

    def _moved(self, index: int) -> Tensor:
        strength = self.augmentation
        picture = Image.fromarray(self.images[index])
        angle = np.random.uniform(-strength.rotation, strength.rotation)  # noqa: NPY002
        shift = np.random.uniform(-strength.translate, strength.translate, 2) * picture.size  # noqa: NPY002
        scale = np.random.uniform(1 - strength.scale, 1 + strength.scale)  # noqa: NPY002
        picture = picture.rotate(angle, Image.Resampling.BILINEAR, translate=tuple(shift))
        size = round(picture.size[0] * scale), round(picture.size[1] * scale)
        resized = picture.resize(size, Image.Resampling.BILINEAR)
        canvas = Image.new("L", picture.size)
        canvas.paste(resized, ((picture.size[0] - size[0]) // 2, (picture.size[1] - size[1]) // 2))
        return torch.from_numpy(np.array(canvas)).float().div(255).unsqueeze(0)


def plain_steps(config: RunConfig, data: ImageDataModule, model: MultiTaskImageTransformer) -> Iterator[int]:
    """Train the plain way; yield the anchors of each step."""
    training = config.training
    optimizer = torch.optim.AdamW(model.parameters(), lr=training.learning_rate)
    kl = KLDivergenceLoss()
    loader = DataLoader(
        PlainTriplets(data.train.images, data.train.labels, config),
        batch_size=config.dataset.batch_size,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
        drop_last=True,
    )
    while True:
        for anchor, positive, negative, label in loader:
            outputs = [model(images) for images in (anchor, positive, negative)]
            first = outputs[0]
            loss = F.triplet_margin_loss(*(output.embedding for output in outputs), margin=training.margin or 0.2)
            loss = loss + F.cross_entropy(first.logits, label) + F.mse_loss(first.reconstruction, anchor)
            loss = loss + training.kl_weight * kl(first.mean, first.log_variance)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            yield len(label)


def triptych_steps(config: RunConfig, data: ImageDataModule, model: MultiTaskImageTransformer) -> Iterator[int]:
    """Train as the shipped recipe does; yield the anchors of each step."""
    training = config.training
    optimizer = build_optimizer(model, training)
    triplet = BatchTripletLoss(margin=training.margin, mining=training.triplet_mining)
    reconstruction = ReconstructionLoss(kind=training.reconstruction_loss)
    kl = KLDivergenceLoss(free_bits=training.kl_free_bits)
    loader: BatchLoader = data.train_dataloader()
    while True:
        for batch in loader:
            noise = Draws(0, 0, batch.index).normal("latent", config.model.latent_dim)
            output = model(batch.anchor, noise)
            loss = triplet(output.embedding, batch.label) + F.cross_entropy(output.logits, batch.label)
            loss = loss + reconstruction(output.reconstruction, batch.anchor)
            loss = loss + training.kl_weight * kl(output.mean, output.log_variance)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            yield len(batch.label)


def rate(steps: Iterator[int], seconds: float) -> float:
    """Return anchors per second over about `seconds`."""
    began, anchors = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        anchors += next(steps)
    return anchors / (time.perf_counter() - began)


def serve(way: str, orders: Connection) -> None:
    """Train one way in a process of its own, for as many seconds as each order says, and answer with the rate."""
    config = load_config(CONFIG)
    data = ImageDataModule(config, load_dataset(config.dataset.name))
    mean, deviation = data.pixel_statistics()
    torch.manual_seed(0)
    model = build_model(config, num_classes=len(data.classes), pixel_mean=mean, pixel_std=deviation)
    assert isinstance(model, MultiTaskImageTransformer)
    steps = WAYS[way](config, data, model.train())
    while (seconds := orders.recv()) is not None:
        orders.send(rate(steps, seconds))


WAYS = {"plain": plain_steps, "triptych": triptych_steps}


def main() -> None:
    """Time both in turns and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()

    context = multiprocessing.get_context("spawn")
    orders = {}
    for way in WAYS:
        orders[way], theirs = context.Pipe()
        context.Process(target=serve, args=(way, theirs)).start()
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(arguments.rounds + 1):
        for way, connection in orders.items():
            connection.send(arguments.seconds)
            measured = connection.recv()
            if number:  # the first round warms up: workers, allocator, kernels
                rates[way].append(measured)
    for connection in orders.values():
        connection.send(None)
    ratios = [ours / plain for ours, plain in zip(rates["triptych"], rates["plain"], strict=True)]
    report = {
        "anchors_per_second": {way: round(statistics.median(values), 1) for way, values in rates.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratio_spread": [round(min(ratios), 2), round(max(ratios), 2)],
        "rounds": arguments.rounds,
        "batch_size": load_config(CONFIG).dataset.batch_size,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
