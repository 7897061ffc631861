"""Opens a trained model with the images of its run and the folder of its results, for `evaluate` and `audit`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

from triptych.data.module import ImageDataModule
from triptych.errors import CheckpointError
from triptych.evaluation.measuring.outputs import Model
from triptych.evaluation.run_images import run_images, warn_of_changes
from triptych.runs.checkpoint_list import best_name
from triptych.runs.find import run_of_checkpoint

if TYPE_CHECKING:
    from triptych.artefacts.model import TrainedModel

ModelLike: TypeAlias = Union[str, Path, "TrainedModel"]
"""A checkpoint, a run folder, a run's name as "digits/3", or a model that `triptych.load` has loaded from a file."""


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A trained model and what belongs to it.

    Attributes:
        network: The model, in evaluation mode, on the best device of this machine.
        data: The images of its run, divided as training divided them.
        folder: Where results belong: the run's version folder for the run's best checkpoint, a folder of its own there
            for another one, and a folder beside the file for one without its run.
        version_folder: The run's version folder, with its curves; None for a checkpoint without its run.
        name: The file name of the checkpoint, where links lead.
        trained: The same model as `triptych.load` returns it; None where only the network is known.
        note: How the images differ from those of training; empty where they do not.
    """

    network: Model
    data: ImageDataModule
    folder: Path
    version_folder: Path | None
    name: str
    note: str = ""
    trained: "TrainedModel | None" = None


def open_model(model: ModelLike, *, root: str | Path | None = None, output: str | Path = ".") -> OpenedModel:
    """Load a model and the images of its run.

    Args:
        model: See `ModelLike`.
        root: Current location of the run's images (`dataset.root`); None: that of training.
        output: The output directory in which the names of runs are looked up.

    Warns:
        ImageWarning: The images differ from those of training; `note` has the same text.

    Raises:
        CheckpointError: There is no such model, or its file is damaged, or is a config.
        DataError, DownloadError: The images cannot be read, or have other classes than the model.
    """
    from triptych.artefacts.checkpoint import read_model
    from triptych.artefacts.engines.torch_engine import TorchEngine, choose_device
    from triptych.artefacts.model import TrainedModel

    path = find_model(model, output=output)
    saved = read_model(path)
    description = saved.description()
    data = run_images(description, root=root)
    run = run_of_checkpoint(path)
    trained = TrainedModel(TorchEngine(saved.network(), device=choose_device("auto")), description, path=path)
    return OpenedModel(
        network=trained.network,
        data=data,
        folder=result_folder(path),
        version_folder=run.version_folder if run else None,
        name=path.resolve().name,
        note=warn_of_changes(data, saved.content),
        trained=trained,
    )


def find_model(model: ModelLike, *, output: str | Path = ".") -> Path:
    """Return the checkpoint that is meant; arguments and errors are those of `open_model`."""
    from triptych.artefacts.loading import find_checkpoint
    from triptych.artefacts.model import TrainedModel

    if isinstance(model, TrainedModel):
        if model.path is None:
            raise CheckpointError("Expected a model that was loaded from a file, but this one has no path.")
        model = model.path
    if not isinstance(model, str | Path):
        raise TypeError(f"expected a model as a path, a run's name or a loaded model, got {type(model).__name__}")
    return find_checkpoint(model, output=output)


def result_folder(path: Path) -> Path:
    """Return where the results of a checkpoint belong: metrics.json in the version folder is that of the best one."""
    place, run = path.resolve(), run_of_checkpoint(path)
    if run is None:
        return path.parent / f"{place.stem}-evaluation"
    return run.version_folder if place.name == best_name(run) else run.version_folder / f"evaluation-{place.stem}"
