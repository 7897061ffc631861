"""Seconds of training until the test accuracy first reaches a target: Triptych, then the plain baseline, seed by seed.

    python benchmarks/time_to_accuracy.py --config configs/mnist.yaml --accuracy 0.97 [--epochs 1] [--seeds 0 1 2]
    python benchmarks/time_to_accuracy.py --config configs/fashionmnist.yaml --accuracy 0.85 [--epochs 1]

Triptych trains the shipped recipe as the command does, in what `precision: auto` comes to on the machine, its
schedule falling to its end within `--epochs`. The plain baseline (plain_way.py) trains a pure ViT of width 128 on
patches of 4, in float32: linear patch embedding, 4 layers of 4 heads, MLP and heads as the config has them, images
without padding; triplets made one by one by PIL in 2 workers, three forwards a step, AdamW at a constant rate after a
short climb. Each trains in a process of its own.

Accuracy is looked at every few seconds of training, later whenever that time has grown by a twentieth, with the clock
stopped; the workers, which continue to make a few batches, which favours the plain baseline slightly. It is the
accuracy of the weights as they are; at the end of the run, of those that the run keeps. The plain baseline ends at
`--at-most` times Triptych's time: the ratio is then a lower bound, printed as "> 25". Wanted: at least 20.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import conditions, in_own_process, one_key_a_line
from plain_way import PlainTriplets, plain_loader, plain_steps
from shipped_way import Clocked, fit_shipped, settled_precision, shipped, shipped_config

from triptych.data.images import Split
from triptych.models import ImageTransformer, MultiTaskImageTransformer
from triptych.training.building import build_module
from triptych.training.hardware.tuning import tuned_process

PURE_VIT = (
    "dataset.pad=0",
    "model.patch_size=4",
    "model.patch_embedding=linear",
    "model.embed_dim=128",
    "model.num_layers=4",
    "model.num_heads=4",
)


class Race:
    """A clock that measures the accuracy periodically, and ends the training at the target or the time limit."""

    def __init__(self, accuracy: Callable[[], float], *, target: float, every: float, at_most: float) -> None:
        self.accuracy = accuracy
        self.target = target
        self.every = every
        self.at_most = at_most
        self.seconds = 0.0
        self.images = 0
        self.curve: list[tuple[float, float]] = []
        self.next_look = every
        self.resume()

    def resume(self) -> None:
        """Begin to count from now."""
        self.began = time.perf_counter()

    def step_done(self, images: int) -> None:
        """Count the step.

        Raises:
            RaceOver: The target is reached, or time is up.
        """
        self.seconds += time.perf_counter() - self.began
        self.images += images
        is_late = self.seconds >= self.at_most
        if self.seconds >= self.next_look or is_late:
            self.look()
            self.next_look = self.seconds + max(self.every, self.seconds / 20)
        if self.reached or is_late:
            raise RaceOver
        self.resume()

    def look(self) -> None:
        """Add a point to the curve."""
        self.curve.append((round(self.seconds, 2), round(self.accuracy(), 4)))

    @property
    def reached(self) -> bool:
        """Whether the last measurement reached the target."""
        return bool(self.curve) and self.curve[-1][1] >= self.target

    def result(self) -> dict[str, Any]:
        """Return its values for the report."""
        return {"reached": self.reached, "seconds": round(self.seconds, 2), "images": self.images, "curve": self.curve}


class RaceOver(Exception):  # noqa: N818 - no error
    """Ends the training."""


@tuned_process()
def race_triptych(path: Path, changes: list[str], *, target: float, every: float) -> dict[str, Any]:
    """Train the shipped recipe, to the end of its schedule at most."""
    config, data = shipped(path, changes)
    module = build_module(config, data)
    race = Race(lambda: accuracy(module.model, data.test), target=target, every=every, at_most=math.inf)
    try:
        fit_shipped(config, data, module=module, callbacks=[Clocked(race)], validation=1)
        race.look()
    except RaceOver:
        pass
    return race.result()


def race_plain(
    path: Path, changes: list[str], *, target: float, every: float, at_most: float, learning_rate: float, warmup: int
) -> dict[str, Any]:
    """Train the plain baseline, for so many seconds at most."""
    config, data = shipped(path, [*changes, *PURE_VIT])
    model = build_module(config, data).model
    assert isinstance(model, MultiTaskImageTransformer), "the benchmark needs training.use_multitask_loss: true"
    items = PlainTriplets(data.train, config.dataset.augmentation)
    loader = plain_loader(items, batch_size=config.dataset.batch_size)
    race = Race(lambda: accuracy(model, data.test), target=target, every=every, at_most=at_most)
    try:
        for images in plain_steps(model, loader, learning_rate=learning_rate, warmup_steps=warmup):
            race.step_done(images)
    except RaceOver:
        pass
    return race.result()


@torch.no_grad()
def accuracy(model: ImageTransformer | MultiTaskImageTransformer, split: Split) -> float:
    """Return the share of correctly classified images."""
    model.eval()
    right = 0
    for images, labels in zip(split.images[: len(split)].split(500), split.labels.split(500), strict=True):
        right += int((model.classify(images.float().div(255)).argmax(1) == labels).sum())
    model.train()
    return right / len(split)


def main() -> None:
    """Race them for every seed, and print the times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).parents[1] / "configs" / "mnist.yaml")
    parser.add_argument("--accuracy", type=float, default=0.97)
    parser.add_argument("--epochs", type=int, default=1, help="of Triptych's schedule")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change Triptych's config")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--every", type=float, default=2.0, help="seconds of training between two looks, at first")
    parser.add_argument("--at-most", type=float, default=25.0, help="the plain baseline's time, in units of Triptych's")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="the plain baseline's")
    parser.add_argument("--warmup-steps", type=int, default=200, help="the plain baseline's")
    given = parser.parse_args()

    precision = in_own_process(settled_precision, given.config, given.set)
    look = {"target": given.accuracy, "every": given.every}
    plain_rate = {"learning_rate": given.learning_rate, "warmup": given.warmup_steps}
    runs = []
    for seed in given.seeds:
        changes = [f"training.seed={seed}"]
        recipe = [f"training.epochs={given.epochs}", *given.set, precision]
        ours = in_own_process(race_triptych, given.config, [*changes, *recipe], **look)
        plain = None
        if ours["reached"]:
            at_most = given.at_most * ours["seconds"]
            plain = in_own_process(race_plain, given.config, changes, at_most=at_most, **look, **plain_rate)
        runs.append({"seed": seed, "ratio": ratio(ours, plain), "triptych": ours, "plain": plain})
    config = shipped_config(given.config, [precision])
    report = {
        "config": given.config.name,
        "target": given.accuracy,
        "ratio": overall(runs),
        **{f"seed {run['seed']}": run for run in runs},
        "epochs": given.epochs,
        "changes": given.set,
        "plain_learning_rate": given.learning_rate,
        **conditions(config),
    }
    print(one_key_a_line(report))


def ratio(ours: dict[str, Any], plain: dict[str, Any] | None) -> dict[str, Any]:
    """Compare the times: a number where both reached the target, a lower bound where the plain baseline did not."""
    if plain is None:
        return {"value": None, "exact": False, "text": "Triptych did not reach the target: give it more --epochs"}
    value = round(plain["seconds"] / ours["seconds"], 1)
    return {"value": value, "exact": plain["reached"], "text": f"{value}" if plain["reached"] else f"> {value}"}


def overall(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return median and spread of the seeds' ratios; one lower bound among them makes the median one."""
    ratios = [run["ratio"] for run in runs]
    if failed := [run["seed"] for run in runs if run["ratio"]["value"] is None]:
        return {"value": None, "exact": False, "text": f"Triptych did not reach the target with seeds {failed}"}
    values, exact = [one["value"] for one in ratios], all(one["exact"] for one in ratios)
    median = round(statistics.median(values), 1)
    text = f"{median}" if exact else f"> {median}"
    return {"value": median, "exact": exact, "text": text, "spread": [min(values), max(values)], "n": len(values)}


if __name__ == "__main__":
    main()
