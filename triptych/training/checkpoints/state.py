"""The validated parts of a checkpoint that resuming reads: the run, its progress, and what it depends on."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triptych.artefacts.checkpoint import check_design, read_checkpoint
from triptych.errors import CheckpointError
from triptych.training.hardware.machine import Precision

BEST_NAME = re.compile(r"epoch=\d+-val_accuracy=\d\.\d+(-v\d+)?\.ckpt", re.ASCII)
"""Name pattern of best checkpoints: a file name in the folder of checkpoints, not a path."""

Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class RunRecord(_Part):
    """The run of a checkpoint."""

    dataset: Annotated[str, Field(pattern=r"^[^/\\\x00]+$", min_length=1)]
    version: Count
    precision: Precision | None = None
    batches: Count | None = None
    """Number of training batches per epoch, over all processes."""
    images: dict[str, str] | None = None
    """The result of `ImageDataModule.digests`, by split."""


class _Best(_Part):
    best_accuracy: float
    best_name: str
    seconds: float


class _Callbacks(_Part):
    RunCheckpoints: _Best


class _Progress(_Part):
    processed: Count


class _EpochProgress(_Part):
    current: _Progress


class _FitLoop(_Part):
    epoch_progress: _EpochProgress


class _Loops(_Part):
    fit_loop: _FitLoop


class _HyperParameters(_Part):
    config: dict[str, Any]
    classes: list[str] | tuple[str, ...] | None = None
    backbone: dict[str, Any] | None = None


class SavedState(_Part):
    """The parts of a checkpoint that resuming reads before Lightning does."""

    triptych_run: RunRecord
    callbacks: _Callbacks
    loops: _Loops
    hyper_parameters: _HyperParameters
    state_dict: dict[str, Any]
    optimizer_states: list[Any]
    lr_schedulers: list[Any]
    epoch: Count
    global_step: Count

    @property
    def config(self) -> dict[str, Any]:
        """The config of the run, as plain values."""
        return self.hyper_parameters.config

    @property
    def best_name(self) -> str:
        """File name of the best checkpoint so far; empty if there is none yet."""
        return self.callbacks.RunCheckpoints.best_name

    @property
    def epochs_done(self) -> int:
        """Number of finished epochs."""
        return self.loops.fit_loop.epoch_progress.current.processed


def read_state(path: Path) -> SavedState:
    """Read a checkpoint of training.

    Raises:
        CheckpointError: It is missing, damaged, not from training, has another format, or names a file elsewhere.
    """
    content = read_checkpoint(path)
    if "triptych_run" not in content or "loops" not in content:
        raise CheckpointError(
            f"{path}: expected a checkpoint that training wrote, with its whole state; got one without. Name a file of "
            "lightning_checkpoints/ with --resume PATH."
        )
    try:
        state = SavedState.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"{path}: expected the whole state of a run, but {place} is wrong ({first['msg']}). Copy the file again, "
            "resume from another checkpoint, or start a new run without --resume."
        ) from error
    check_design(state.config, path)
    names = (state.triptych_run.dataset, state.best_name)
    if state.triptych_run.dataset in {".", ".."} or (state.best_name and not BEST_NAME.fullmatch(state.best_name)):
        raise CheckpointError(
            f"{path}: expected plain names of its data set and its best checkpoint, got {names[0]!r} and {names[1]!r}. "
            "The file was not written by this program; do not use it."
        )
    return state
