"""Resuming from a saved state: finds the checkpoint and the run, and checks that the config is that of the run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.config import load_config
from triptych.config.schema import RunConfig
from triptych.data.listing import listed
from triptych.errors import CheckpointError
from triptych.runs.checkpoint_list import check_names, own_names
from triptych.runs.folders import RunFolders, newest_run
from triptych.training.checkpoints.state import read_state
from triptych.training.hardware.machine import Precision

FREE_KEYS = (
    "dataset.root",
    "dataset.num_workers",
    "model.cache_features",
    "model.activation_checkpointing",
    "training.epochs",
    "training.accelerator",
    "training.devices",
    "training.num_nodes",
    "training.strategy",
    "training.precision",
    "training.compile",
    "training.deterministic",
    "training.on_collapse",
    "logging",
)
"""Settings that may change when a run is resumed; all others define the run."""

DETECTED = ("dataset.channels", "dataset.white_level")
"""Settings that were derived from the images when the run started, unless the config sets them."""


@dataclass(frozen=True)
class Resumption:
    """A run that can be resumed.

    Attributes:
        path: The checkpoint to resume from; None if the run stopped before it saved one, and starts again.
        folders: The output folders of the run, as stored in the checkpoint, even if the config has changed.
        precision: The choice of `precision: auto` when the run started; None if the config sets it.
        backbone: The description of the run's pretrained encoder, whose weights are in the checkpoint.
        images: Digests of the images that it was trained on, by split (`ImageDataModule.digests`); None if unknown.
        classes: Its classes, in the order of the labels; None if unknown.
    """

    path: Path | None
    folders: RunFolders
    precision: Precision | None = None
    backbone: dict[str, Any] | None = None
    images: dict[str, str] | None = None
    classes: tuple[str, ...] | None = None

    def check_classes(self, classes: Sequence[str]) -> None:
        """Reject images with other classes than those of the run: their labels would have another meaning.

        Raises:
            CheckpointError: A class was added, removed or renamed.
        """
        if self.classes is not None and tuple(classes) != self.classes:
            raise CheckpointError(
                f"{self.path}: expected images of the run's classes, {listed(self.classes)}; got {listed(classes)}. "
                "Restore the classes, or start a new run without --resume."
            )

    @property
    def version(self) -> int:
        """Number of the version folder."""
        return self.folders.version


def resumption(config: RunConfig, *, output: Path, path: Path | None) -> Resumption:
    """Find the state to resume from and check that it belongs to this run.

    Args:
        config: The current config.
        output: The output directory of the run.
        path: The checkpoint; None means the last one of the latest run.

    Raises:
        CheckpointError: There is no such checkpoint, or it belongs to another run: the message lists the differences.
    """
    if path is not None:
        return _from_checkpoint(config, path, output)
    newest = newest_run(output, config.dataset.title)
    if newest is None:
        raise CheckpointError(
            f"Nothing to resume: expected a run on {config.dataset.title} under {output.resolve()}, found none. Name "
            "its output directory with --output, or start a new run without --resume."
        )
    if newest.last.is_file() or newest.checkpoint_list.is_file():
        return _from_checkpoint(config, newest.last, output)
    return _from_the_start(config, newest)


def _from_checkpoint(config: RunConfig, path: Path, output: Path) -> Resumption:
    state = read_state(path)
    _check_same(state.config, config, path)
    folders = RunFolders(output, state.triptych_run.dataset, state.triptych_run.version)
    check_names(folders)
    _check_in_place(path, folders)
    if state.best_name and not (folders.checkpoints / state.best_name).is_file():
        raise CheckpointError(
            f"{path}: expected the run's best checkpoint so far, {folders.checkpoints / state.best_name}; it is "
            "missing. Put it back, resume from a later checkpoint, or start a new run without --resume."
        )
    if config.training.epochs < state.epochs_done:
        raise CheckpointError(
            f"{path}: {state.epochs_done} epochs are finished; expected training.epochs of at least as many, got "
            f"{config.training.epochs}. Set more with --epochs, or start a new run without --resume."
        )
    was_auto = state.config.get("training", {}).get("precision") == "auto"
    return Resumption(
        path.resolve(),
        folders,
        precision=state.triptych_run.precision if was_auto else None,
        backbone=state.hyper_parameters.backbone,
        images=state.triptych_run.images,
        classes=tuple(state.hyper_parameters.classes) if state.hyper_parameters.classes else None,
    )


def _from_the_start(config: RunConfig, folders: RunFolders) -> Resumption:
    """Restart a run that has an empty version folder: the same seed gives the same run."""
    resolved = folders.version_folder / "config.yaml"
    if resolved.is_file():
        _check_same(load_config(resolved).model_dump(mode="json"), config, resolved)
    return Resumption(None, folders)


def _check_in_place(path: Path, folders: RunFolders) -> None:
    """Reject a checkpoint whose run is not in this output directory: its files would belong to another run."""
    name = path.resolve().name
    own = own_names(folders) | {folders.last.name, "last.ckpt", "best.ckpt"}
    if path.resolve().parent != folders.checkpoints.resolve():
        raise CheckpointError(
            f"{path}: expected a checkpoint in {folders.checkpoints.resolve()}, where this run would write; "
            f"got one in {path.resolve().parent}. Name the output directory of its run with --output."
        )
    if folders.checkpoint_list.is_file() and name not in own:
        raise CheckpointError(
            f"{path}: expected one of the checkpoints of {folders.version_folder} ({', '.join(sorted(own))}), got a "
            "file that is not that run's. Name one of them with --resume PATH."
        )


def _check_same(saved: object, config: RunConfig, path: Path) -> None:
    differing = [
        f"{key}: {old!r} there, {new!r} now"
        for key, old, new in _differences(saved, config.model_dump(mode="json"))
        if not any(key == free or key.startswith(f"{free}.") for free in FREE_KEYS)
        and not (key in DETECTED and new is None)
    ]
    if differing:
        raise CheckpointError(
            f"{path} is of another run: expected the same config, got other values of {'; '.join(differing)}. Use the "
            "run's own config (its version folder holds config.yaml), or start a new run without --resume."
        )


def _differences(old: object, new: object, key: str = "") -> Iterator[tuple[str, object, object]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _differences(old.get(name), new.get(name), f"{key}.{name}" if key else name)
    elif old != new:
        yield key, old, new
