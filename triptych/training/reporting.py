"""Console output of a run: a few lines at the start, a table of metrics at the end, and the metrics' names."""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from triptych.config.loss_terms import LOSS_TERMS
from triptych.config.schema import RunConfig
from triptych.data.images import ImageData
from triptych.data.module import ImageDataModule
from triptych.runs.folders import RunFolders
from triptych.text import terminal_text
from triptych.training.hardware.machine import Hardware
from triptych.training.modules import TaskModule
from triptych.version import __version__


def announce(
    console: Console,
    config: RunConfig,
    images: ImageData,
    data: ImageDataModule,
    module: TaskModule,
    *,
    hardware: Hardware,
    folders: RunFolders,
    resumed_from: str = "",
    notes: Sequence[str],
) -> None:
    """Print a summary of the run at its start, with warnings about its images."""
    channels, height, width = config.dataset.image_shape
    parameters = sum(parameter.numel() for parameter in module.model.parameters())
    training = config.training
    splits = {"training": data.train, "validation": data.validation, "test": data.test}
    sizes = ", ".join(f"{len(split.labels):,} {name}" for name, split in splits.items())
    device, batch = hardware.device, str(config.dataset.batch_size)
    if hardware.processes > 1:
        device, batch = f"{device}, {hardware.processes} processes", f"{hardware.processes} x {batch}"
    held_out = f", held out: {', '.join(data.holdout_classes)}" if data.holdout_classes else ""
    lines = {
        "data": f"{config.dataset.title}, {len(data.classes)} classes ({images.origin}){held_out}",
        "images": f"{height}x{width}x{channels}: {sizes}",
        "model": f"{type(module.model).__name__}, {parameters:,} parameters",
        "device": device,
        "precision": _chosen(hardware.precision, hardware.precision_reason),
        "compiled": _chosen("yes" if hardware.compiled else "no", hardware.compile_reason),
        "training": f"{training.epochs} epoch{'s' if training.epochs > 1 else ''}, batch {batch}, "
        f"{training.optimizer}, triplets {training.triplet_mining}, seed {training.seed}",
        "writes to": str(folders.version_folder),
    }
    if resumed_from:
        lines["resumes"] = resumed_from
    lines |= {f"note {number}": note for number, note in enumerate(notes, start=1)}
    _print_lines(console, lines)


def summarise(
    console: Console, metrics: dict[str, Any], folders: RunFolders, pictures: Sequence[Path], *, has_curves: bool
) -> None:
    """Print the results and the paths of the output files."""
    table = Table(title=escape(terminal_text(f"{folders.dataset}, the best epoch")), box=SIMPLE_HEAD)
    table.add_column()
    for split in ("test", "validation"):
        table.add_column(split, justify="right")
    validation = shown_figures(metrics["val"])
    for name, value in shown_figures(metrics["test"]).items():
        table.add_row(name, f"{value:.4f}", f"{validation[name]:.4f}")
    console.print()
    console.print(table)
    places = {
        "test accuracy": f"{metrics['test']['accuracy']:.4f}",
        **_held_out(metrics),
        **_diagnoses(metrics),
        "checkpoint": metrics["best_checkpoint"],
        "metrics": str(folders.version_folder / "metrics.json"),
        **{_subject(picture): str(folders.root / picture.name) for picture in pictures},
    }
    places["report"] = f"triptych evaluate {quote(str(metrics['best_checkpoint']))}"
    if has_curves:
        places["curves"] = f"tensorboard --logdir {quote(str(folders.root / 'img_tasks'))}"
    _print_lines(console, places)


def _held_out(metrics: dict[str, Any]) -> dict[str, str]:
    """Return the retrieval metrics of the held-out classes."""
    if "holdout" not in metrics:
        return {}
    figures = metrics["holdout"]
    shown = []
    for name, title in (("precision_at_1", "precision@1"), ("map_at_r", "MAP@R")):
        low, high = figures["intervals"].get(name, (0.0, 1.0))
        shown.append(f"{title} {figures[name]:.4f} (95% interval: {low:.4f} to {high:.4f})")
    return {"held-out classes": ", ".join(shown)}


def _diagnoses(metrics: dict[str, Any]) -> dict[str, str]:
    """Return the findings of the collapse guard: its messages may have scrolled out of view."""
    named = []
    for one in metrics.get("diagnoses", []):
        first, last = one["epoch"], one["last_epoch"]
        epochs = f"epoch {first}" if first == last else f"epochs {first} to {last}"
        named.append(f"{one['name'].replace('_', ' ')} in {epochs}")
    return {"diagnosis": "; ".join(named)} if named else {}


def _subject(picture: Path) -> str:
    return "triplets" if picture.name.startswith("triplet") else "embeddings"


def _chosen(value: str, reason: str) -> str:
    """Return the value of the config, or the choice of auto with its reason."""
    return f"{value} (auto: {reason})" if reason else value


def _print_lines(console: Console, lines: Mapping[str, str]) -> None:
    """Print names and values in two columns; long paths are not wrapped."""
    width = max(map(len, lines))
    for name, value in lines.items():
        console.print(f"[bold]{name:>{width}}[/bold]  {escape(terminal_text(value))}", highlight=False, soft_wrap=True)


def environment(hardware: Hardware) -> dict[str, Any]:
    """Return the environment, on which the metrics depend besides the config."""
    return {
        "triptych": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": version("lightning"),
        "platform": platform.platform(),
        "device": hardware.device,
        "cpu_count": os.cpu_count(),
        "precision": hardware.precision,
        "precision_reason": hardware.precision_reason,
        "compiled": hardware.compiled,
        "compile_reason": hardware.compile_reason,
        "processes": hardware.processes,
    }


def shown_figures(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics of the printed tables, by their printed names.

    The squared error, if measured, replaces the reconstruction loss, which may be a logarithm.

    Example:
        >>> shown_figures({"accuracy": 0.9, "loss": 1.0, "classification": 0.4, "reconstruction": -0.9, "mse": 0.01})
        {'accuracy': 0.9, 'loss': 1.0, 'cross-entropy': 0.4, 'MSE': 0.01}
    """
    names = {name: term.title.removesuffix(" loss") for name, term in LOSS_TERMS.items()}
    shown = {name: name for name in ("accuracy", "loss")} | names
    if "mse" in figures:
        shown["reconstruction"] = "MSE"
        figures = {**figures, "reconstruction": figures["mse"]}
    return {title: figures[name] for name, title in shown.items() if name in figures}


def duration(seconds: float) -> str:
    """Format a duration in at most six characters.

    Example:
        >>> duration(12.3), duration(1000), duration(100_000)
        ('12 s', '17 min', '28 h')
    """
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
