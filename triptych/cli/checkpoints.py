"""What the verbs that take a checkpoint share: its model, the images of its run, and where its results belong."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from triptych.config.schema import RunConfig
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
root_option = click.option(
    "--root",
    metavar="PLACE",
    help="Where the images of the run lie now (dataset.root); by default where training found them.",
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


def open_checkpoint(path: Path, *, root: str | None = None) -> Opened:
    """Load a checkpoint and the images of its run.

    Args:
        path: The checkpoint.
        root: Where the images lie, if not where training found them.

    Raises:
        CheckpointError: It is missing, damaged, or none of Triptych's.
        DataError, DownloadError: The images cannot be read, or are of other classes than the model knows.
    """
    import torch

    from triptych.data.builder import open_images
    from triptych.data.listing import listed
    from triptych.data.module import ImageDataModule
    from triptych.errors import DataError
    from triptych.runs.find import run_of_checkpoint
    from triptych.training.checkpoints.loading import load_lightning_model

    module = load_lightning_model(path)
    data = ImageDataModule(*open_images(module.config if root is None else _moved(module.config, root)))
    if data.classes != tuple(module.classes):
        raise DataError(
            f"{data.title}: expected images of the classes that the model knows, {listed(module.classes)}; got "
            f"{listed(data.classes)}. Name the place of the run's own images by --root."
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    run = run_of_checkpoint(path)
    return Opened(
        module=module.to(device),
        data=data,
        folder=_result_folder(path, run),
        version_folder=run.version_folder if run else None,
        name=path.resolve().name,
    )


def _moved(config: "RunConfig", root: str) -> "RunConfig":
    """Let a run look for its images in another place."""
    return config.model_copy(update={"dataset": config.dataset.model_copy(update={"root": root})})


def _result_folder(path: Path, run: "RunFolders | None") -> Path:
    """Keep figures of different checkpoints apart: metrics.json in the version folder is that of the best one."""
    from triptych.runs.checkpoint_list import best_name

    place = path.resolve()
    if run is None:
        return path.parent / f"{place.stem}-evaluation"
    return run.version_folder if place.name == best_name(run) else run.version_folder / f"evaluation-{place.stem}"
