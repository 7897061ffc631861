"""What the verbs that take a checkpoint share: its model, the images of its run, and where its results belong."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from triptych.data.module import ImageDataModule
    from triptych.runs.folders import RunFolders
    from triptych.training.modules import TaskModule

checkpoint_argument = click.argument("checkpoint", type=click.Path(path_type=Path), metavar="CKPT")
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where to write; by default the run's version folder.",
)


class Opened(NamedTuple):
    """A checkpoint and what belongs to it.

    Attributes:
        module: The trained module, evaluating, on the best device of this machine.
        data: The images of its run, divided as training divided them.
        folder: Where results go where the user names no place: the run's version folder for the run's best checkpoint,
            a folder of its own there for another one, and a folder beside the file for one that has left its run.
        version_folder: The run's version folder, with its curves; None for a checkpoint that has left its run.
        name: The checkpoint's file name, where links lead.
    """

    module: "TaskModule"
    data: "ImageDataModule"
    folder: Path
    version_folder: Path | None
    name: str


def open_checkpoint(path: Path) -> Opened:
    """Load a checkpoint and the images of its run.

    Raises:
        CheckpointError: It is missing, damaged, or none of Triptych's.
        DataError, DownloadError: The images cannot be read.
    """
    import torch

    from triptych.data.builder import open_images
    from triptych.data.module import ImageDataModule
    from triptych.runs.find import run_of_checkpoint
    from triptych.training.loading import load_lightning_model

    module = load_lightning_model(path)
    data = ImageDataModule(*open_images(module.config))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run = run_of_checkpoint(path)
    return Opened(
        module=module.to(device),
        data=data,
        folder=_result_folder(path, run),
        version_folder=run.version_folder if run else None,
        name=path.resolve().name,
    )


def _result_folder(path: Path, run: "RunFolders | None") -> Path:
    """Keep figures of different checkpoints apart: metrics.json in the version folder is that of the best one."""
    from triptych.runs.checkpoint_list import best_name

    place = path.resolve()
    if run is None:
        return path.parent / f"{place.stem}-evaluation"
    return run.version_folder if place.name == best_name(run) else run.version_folder / f"evaluation-{place.stem}"
