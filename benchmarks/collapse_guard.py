"""False alarms of the collapse guard, and the range of each of its signs, over configs and seeds.

    python benchmarks/collapse_guard.py digits [mnist …] [--seeds 5] [--first-seed 0] [--epochs N] [--set KEY=VALUE]

Every run is complete, in a temporary folder; a line is printed for each, and a table at the end.
"""

import argparse
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from triptych.config import load_config
from triptych.training.train import train

CONFIGS = Path(__file__).parents[1] / "configs"
QUIET = ("logging.embeddings=false", "logging.triplet_samples=false", "logging.reconstruction_every=0")


def watch(config: str, seed: int, changes: list[str]) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    """Train once; return the diagnoses and every sign, epoch by epoch."""
    settings = load_config(CONFIGS / f"{config}.yaml", [*QUIET, *changes, f"training.seed={seed}"])
    with tempfile.TemporaryDirectory() as output:
        result = train(settings, output=Path(output))
        events = EventAccumulator(str(min(result.folders.version_folder.glob("events*"))), size_guidance={"scalars": 0})
        events.Reload()
        tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("guard/")]
        signs = {tag.removeprefix("guard/"): [event.value for event in events.Scalars(tag)] for tag in tags}
    return result.metrics["diagnoses"], {**signs, "test accuracy": [result.metrics["test"]["accuracy"]]}


def main() -> None:
    """Run every config with every seed, and print alarms and ranges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    changes = arguments.changes + ([f"training.epochs={arguments.epochs}"] if arguments.epochs else [])

    console = Console(width=110)
    ranges: dict[str, dict[str, list[float]]] = {}
    alarms, epochs = dict.fromkeys(arguments.configs, 0), dict.fromkeys(arguments.configs, 0)
    for config in arguments.configs:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            began = time.perf_counter()
            diagnoses, signs = watch(config, seed, changes)
            alarms[config] += len(diagnoses)
            epochs[config] += len(signs["spread"])
            for name, values in signs.items():
                ranges.setdefault(name, {}).setdefault(config, []).extend(values)
            said = "; ".join(f"epoch {one['epoch']}: {one['what']}" for one in diagnoses) or "all well"
            seconds = time.perf_counter() - began
            console.print(
                f"{config}, seed {seed}, {len(signs['spread'])} epochs, {seconds:.0f} s: {said}", soft_wrap=True
            )

    title = f"{arguments.seeds} seeds; torch {torch.__version__}, Python {platform.python_version()}"
    table = Table("", *arguments.configs, box=SIMPLE_HEAD, title=title)
    table.add_row("alarms", *(str(alarms[config]) for config in arguments.configs))
    table.add_row("epochs watched", *(str(epochs[config]) for config in arguments.configs))
    for name, of in ranges.items():
        cells = (
            f"{min(of[config]):.3g} to {max(of[config]):.3g}" if config in of else "" for config in arguments.configs
        )
        table.add_row(name, *cells)
    console.print(table)


if __name__ == "__main__":
    main()
