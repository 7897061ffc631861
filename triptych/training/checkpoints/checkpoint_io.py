"""Checkpoints as files: written whole or not at all, and read without running any code that they may hold."""

import io
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from torch.serialization import MAP_LOCATION

from triptych.errors import CheckpointError, TrainingError
from triptych.files import DISK_FULL, replacing


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's door to the disk: a temporary file that is renamed when complete."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:  # noqa: ARG002
        """Write `checkpoint` to `path`.

        Raises:
            TrainingError: The disk is full; whatever stood at `path` is still there, whole.
        """
        path = Path(path)
        # Through memory: torch's own writer turns every error of the disk into a RuntimeError without an errno.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(content.getbuffer())
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            raise TrainingError(
                f"The checkpoint could not be written to {path.parent}: the disk is full ({error.strerror}). The last "
                "good checkpoint is whole. Free some space and go on with --resume."
            ) from error

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: MAP_LOCATION = "cpu",
        weights_only: bool | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Read a checkpoint; never with code, whatever `weights_only` says."""
        return read_checkpoint(Path(path), map_location)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint if it is there."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path, map_location: MAP_LOCATION = "cpu") -> dict[str, Any]:
    """Read a file of tensors and plain values.

    Raises:
        CheckpointError: It is missing, damaged, not a checkpoint, or holds code, which is not run.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            checkpoint = torch.load(file, map_location=map_location, weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"Expected a checkpoint at {path}, but there is no such file. Check the path.") from error
    except IsADirectoryError as error:
        raise CheckpointError(f"Expected a checkpoint file, got the folder {path}. Name a file inside it.") from error
    except OSError as error:
        raise CheckpointError(f"Expected a checkpoint at {path} that can be read; got: {error.strerror}.") from error
    except Exception as error:
        # Bytes that are not what they claim to be can fail in any way; no code of the file has run.
        raise CheckpointError(f"{path} {_why_unreadable(error)}") from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"{path} is not a checkpoint: expected a dict with weights, got {type(checkpoint).__name__}. Use a .ckpt "
            "file that Triptych wrote, or a .pth file with 'model_state_dict' and 'config'."
        )
    return checkpoint


def _why_unreadable(error: Exception) -> str:
    """Say it in our words: torch's recommend to trust the file."""
    text = str(error)
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in text:
        wanted = re.search(r"GLOBAL ([\w.]+)", text)
        got = f"asks for {wanted[1]}" if wanted else "holds something else, or is damaged"
        return (
            f"was refused: a checkpoint may hold tensors and plain values only, this one {got}. Nothing in it was run. "
            "Use a file that Triptych wrote, or save the weights again with `torch.save(model.state_dict(), …)`."
        )
    reason = text.partition(". ")[0].strip()[:120] or type(error).__name__
    return (
        "cannot be read as a checkpoint: expected a whole file written by torch.save, got a damaged or foreign one "
        f"({reason}). Copy it again, or use another checkpoint."
    )
