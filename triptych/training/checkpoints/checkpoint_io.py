"""Checkpoint files for Lightning: written atomically, and read without executing code in them."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from torch.serialization import MAP_LOCATION

from triptych.artefacts.checkpoint import read_checkpoint
from triptych.errors import TrainingError
from triptych.files import DISK_FULL, replacing


class AtomicCheckpointIO(CheckpointIO):
    """Writes checkpoints to a temporary file that is renamed when complete."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:  # noqa: ARG002
        """Write `checkpoint` to `path`.

        Raises:
            TrainingError: The disk is full; the previous file at `path` is unchanged.
        """
        path = Path(path)
        # Serialised in memory first: torch's own writer turns every disk error into a RuntimeError without an errno.
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
                "good checkpoint is complete. Free some space and continue with --resume."
            ) from error

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: MAP_LOCATION = "cpu",
        weights_only: bool | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Read a checkpoint without executing code, whatever `weights_only` is."""
        return read_checkpoint(Path(path), map_location)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint if it exists."""
        Path(path).unlink(missing_ok=True)
