"""Images per second of training at one model size: Triptych, the plain baseline, the usual libraries.

    python benchmarks/train_throughput.py [--config configs/cifar10.yaml] [--rounds 5] [--seconds 10] [--only WAY ...]
        [--precision 32-true]

    triptych    the shipped recipe as the command trains it: `Trainer.fit` with its logs, guards and checkpoints
    bare        the same module, data, optimiser, clipping and schedule in a loop without Lightning
    plain       triplets made one by one by PIL in 2 workers, three forwards a step, AdamW (plain_way.py)
    libraries   Lightning and pytorch-metric-learning: images changed one by one by PIL in 2 workers, semi-hard miner
                and triplet loss of that library, one forward, AdamW, nothing written (libraries_way.py)

All train the same model on the same images with the same batch size, each in a process of its own, and are timed with
everything that a step needs, data included; validation and checkpoints at an epoch's end are not timed. The first steps
of a turn are not either, for which the workers have made batches in the pause. Plain and libraries train in float32, as
they do by default; triptych and bare in what `precision: auto` comes to on the machine, or as --precision
says. Wanted of two cores: triptych/plain of at least 5 (anchors), triptych/libraries of at least 2 (images), at most
3 % more time than bare.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from libraries_way import fit_with_libraries
from lightning import Callback, LightningModule, Trainer
from measuring import conditions, in_own_process, one_key_a_line
from plain_way import PREFETCHED, PlainImages, PlainTriplets, plain_loader, plain_steps
from shipped_way import Clocked, fit_shipped, settled_precision, shipped, shipped_config

from triptych.config.schema import RunConfig
from triptych.data.module import ImageDataModule
from triptych.models import MultiTaskImageTransformer
from triptych.training.building import build_module
from triptych.training.hardware.tuning import tuned_process
from triptych.training.modules import TaskModule

CONFIG = Path(__file__).parents[1] / "configs" / "cifar10.yaml"
EPOCHS = 10_000
"""So many epochs that the schedule does not end during the measurement."""


class Turns:
    """A clock that answers each order of so many seconds with images per second, and waits for the next."""

    def __init__(self, orders: Connection) -> None:
        self.orders = orders
        self._wait()
        self.resume()

    def resume(self) -> None:
        """Begin to count from now."""
        self.began = time.perf_counter()

    def step_done(self, images: int) -> None:
        """Count the step, or end the process when the orders end."""
        self.steps += 1
        if self.steps > PREFETCHED:
            self.counted += time.perf_counter() - self.began
            self.images += images
        if self.counted >= self.seconds:
            self.orders.send(self.images / self.counted)
            self._wait()
        self.resume()

    def _wait(self) -> None:
        try:
            self.seconds: float = self.orders.recv()
        except EOFError:
            sys.exit()
        self.steps, self.images, self.counted = 0, 0, 0.0


class BareLoop(Callback):
    """Takes over when the trainer has set everything up, and steps in its place."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Never returns."""
        assert isinstance(pl_module, TaskModule)
        (optimizer,), (schedule,) = trainer.optimizers, trainer.lr_scheduler_configs
        loader, parameters = trainer.train_dataloader, list(pl_module.parameters())
        clip, epoch = trainer.gradient_clip_val or 0.0, 0
        pl_module.train()
        while True:
            loader.sampler.set_epoch(epoch)
            for batch in loader:
                optimizer.zero_grad()
                with trainer.precision_plugin.train_step_context():
                    loss = pl_module.measure(batch).losses.total
                loss.backward()
                if clip:
                    torch.nn.utils.clip_grad_norm_(parameters, clip)
                optimizer.step()
                schedule.scheduler.step()  # type: ignore[call-arg]
                self.turns.step_done(len(batch.label))
            epoch += 1


def triptych(config: RunConfig, data: ImageDataModule, turns: Turns) -> None:
    """Train the shipped recipe."""
    fit_shipped(config, data, callbacks=[Clocked(turns)], validation=1)


def bare(config: RunConfig, data: ImageDataModule, turns: Turns) -> None:
    """Train the shipped recipe without Lightning's loop."""
    fit_shipped(config, data, callbacks=[BareLoop(turns)])


def plain(config: RunConfig, data: ImageDataModule, turns: Turns) -> None:
    """Train the plain baseline."""
    items = PlainTriplets(data.train, config.dataset.augmentation)
    loader = plain_loader(items, batch_size=config.dataset.batch_size)
    for images in plain_steps(model_of(config, data), loader, learning_rate=config.training.learning_rate):
        turns.step_done(images)


def libraries(config: RunConfig, data: ImageDataModule, turns: Turns) -> None:
    """Train with Lightning and pytorch-metric-learning."""
    fit_with_libraries(
        model_of(config, data),
        plain_loader(PlainImages(data.train, config.dataset.augmentation), batch_size=config.dataset.batch_size),
        learning_rate=config.training.learning_rate,
        callbacks=[Clocked(turns)],
    )


WAYS: dict[str, Callable[[RunConfig, ImageDataModule, Turns], None]] = {
    "triptych": triptych,
    "bare": bare,
    "plain": plain,
    "libraries": libraries,
}
OURS = ("triptych", "bare")


def model_of(config: RunConfig, data: ImageDataModule) -> MultiTaskImageTransformer:
    """Build the model that the shipped recipe trains."""
    model = build_module(config, data).model
    assert isinstance(model, MultiTaskImageTransformer), "the benchmark needs training.use_multitask_loss: true"
    return model.train()


def serve(way: str, path: Path, precision: str, orders: Connection) -> None:
    """Train one way in this process, whenever it is its turn."""
    with tuned_process() if way in OURS else nullcontext():
        config, data = shipped(path, [f"training.epochs={EPOCHS}", precision])
        WAYS[way](config, data, Turns(orders))


def measured(path: Path, precision: str, ways: list[str], *, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return each way's images per second in every round."""
    context, orders = multiprocessing.get_context("spawn"), {}
    for way in ways:
        orders[way], theirs = context.Pipe()
        context.Process(target=serve, args=(way, path, precision, theirs)).start()
        theirs.close()  # so that a process that dies is noticed
    rates: dict[str, list[float]] = {way: [] for way in ways}
    try:
        for number in range(rounds + 1):
            # In alternating order, so that a machine that slows down favours none.
            for way in ways if number % 2 else reversed(ways):
                orders[way].send(seconds)
                rate = orders[way].recv()
                if number:  # the first round warms up: workers, allocator, kernels
                    rates[way].append(rate)
    except (EOFError, BrokenPipeError):
        sys.exit(f"the way {way!r} did not end well")
    finally:
        for connection in orders.values():
            connection.close()
    return rates


def summary(values: list[float], digits: int) -> dict[str, Any]:
    """Return the median and the spread over the rounds."""
    spread = [round(min(values), digits), round(max(values), digits)]
    return {"median": round(statistics.median(values), digits), "spread": spread}


def main() -> None:
    """Time the ways in turns and print rates, ratios and Lightning's overhead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--precision", choices=["auto", "32-true", "bf16-mixed"], default="auto", help="Triptych's")
    given = parser.parse_args()

    precision = in_own_process(settled_precision, given.config, [f"training.precision={given.precision}"])
    rates = measured(given.config, precision, given.only, rounds=given.rounds, seconds=given.seconds)
    report: dict[str, Any] = {"images_per_second": {way: summary(values, 1) for way, values in rates.items()}}
    ours = rates.get("triptych", [])
    for other in ("plain", "libraries"):
        if ours and other in rates:
            ratios = [mine / theirs for mine, theirs in zip(ours, rates[other], strict=True)]
            report[f"triptych_over_{other}"] = summary(ratios, 2)
    if ours and "bare" in rates:
        overhead = [100 * (best / mine - 1) for mine, best in zip(ours, rates["bare"], strict=True)]
        report["lightning_overhead_percent"] = summary(overhead, 1)
    config = shipped_config(given.config, [precision])
    report |= {"config": given.config.name, "batch_size": config.dataset.batch_size}
    report |= {"rounds": given.rounds, "seconds": given.seconds, **conditions(config)}
    print(one_key_a_line(report))


if __name__ == "__main__":
    main()
