"""Going on from a saved state: which checkpoint, whose run it was, and whether the config is still that run's."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.artefacts.checkpoint import check_design, read_checkpoint
from triptych.config import load_config
from triptych.config.schema import RunConfig
from triptych.errors import CheckpointError
from triptych.runs.checkpoint_list import own_names
from triptych.runs.folders import RunFolders, newest_run
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
"""What may differ between a run and its resumption; everything else is the run itself."""


@dataclass(frozen=True)
class Resumption:
    """A run that can go on.

    Attributes:
        path: The checkpoint to go on from; None where the run was stopped before it had saved one, and begins anew.
        version: The number of the version folder that the run keeps.
        precision: What `precision: auto` came to when the run began; None where the run did not ask for auto.
        backbone: The description of the run's pretrained encoder, whose weights are in the checkpoint.
    """

    path: Path | None
    version: int
    precision: Precision | None = None
    backbone: dict[str, Any] | None = None


def resumption(config: RunConfig, *, output: Path, path: Path | None) -> Resumption:
    """Find the state to go on from and check that it is of this run.

    Args:
        config: The run as it is asked for now.
        output: The output root of the run.
        path: The checkpoint; the newest run's last one where it is None.

    Raises:
        CheckpointError: There is no such checkpoint, or it is of another run: the message lists what differs.
    """
    if path is not None:
        return _from_checkpoint(config, path, output)
    newest = newest_run(output, config.dataset.title)
    if newest is None:
        raise CheckpointError(
            f"Nothing to resume: expected a run on {config.dataset.title} under {output.resolve()}, found none. Name "
            "its root with --output, or start anew without --resume."
        )
    if newest.last.is_file() or newest.checkpoint_list.is_file():
        return _from_checkpoint(config, newest.last, output)
    return _from_the_start(config, newest)


def _from_checkpoint(config: RunConfig, path: Path, output: Path) -> Resumption:
    checkpoint = read_checkpoint(path)
    run = checkpoint.get("triptych_run")
    if run is None or "loops" not in checkpoint:
        raise CheckpointError(
            f"{path}: expected a checkpoint that training wrote, with its whole state; got one without. Name a file of "
            "lightning_checkpoints/ with --resume PATH."
        )
    saved = checkpoint["hyper_parameters"]["config"]
    check_design(saved, path)
    _check_same(saved, config, path)
    folders = RunFolders(output, run["dataset"], run["version"])
    _check_in_place(path, folders)
    best = checkpoint["callbacks"]["RunCheckpoints"]["best_name"]
    if best and not (folders.checkpoints / best).is_file():
        raise CheckpointError(
            f"{path}: expected the run's best checkpoint so far, {folders.checkpoints / best}; it is not there. Put it "
            "back, resume from a later checkpoint, or start anew without --resume."
        )
    done = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if config.training.epochs < done:
        raise CheckpointError(
            f"{path} has {done} epochs behind it: expected training.epochs of at least as many, got "
            f"{config.training.epochs}. Ask for more with --epochs, or start anew without --resume."
        )
    asked = saved["training"]["precision"]
    # Earlier versions kept the precision with the callbacks.
    record = {**checkpoint["callbacks"].get("PrecisionRecord", {}), **run}
    return Resumption(
        path.resolve(),
        folders.version,
        precision=record.get("precision") if asked == "auto" else None,
        backbone=checkpoint["hyper_parameters"].get("backbone"),
    )


def _from_the_start(config: RunConfig, folders: RunFolders) -> Resumption:
    """Begin a run anew that has its version folder and nothing else: its seed makes it the same run."""
    resolved = folders.version_folder / "config.yaml"
    if resolved.is_file():
        _check_same(load_config(resolved).model_dump(mode="json"), config, resolved)
    return Resumption(None, folders.version)


def _check_in_place(path: Path, folders: RunFolders) -> None:
    """Refuse a checkpoint whose run does not write under this output root: it would go on in another run's folder."""
    name = path.resolve().name
    own = own_names(folders) | {folders.last.name, "last.ckpt", "best.ckpt"}
    if path.resolve().parent != folders.checkpoints.resolve():
        raise CheckpointError(
            f"{path}: expected a checkpoint in {folders.checkpoints.resolve()}, where this run would go on writing; "
            f"got one in {path.resolve().parent}. Name the output root of its run with --output."
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
    ]
    if differing:
        raise CheckpointError(
            f"{path} is of another run: expected the same config, got other values of {'; '.join(differing)}. Use the "
            "run's own config (its version folder holds config.yaml), or start anew without --resume."
        )


def _differences(old: object, new: object, key: str = "") -> Iterator[tuple[str, object, object]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _differences(old.get(name), new.get(name), f"{key}.{name}" if key else name)
    elif old != new:
        yield key, old, new
