"""Opens the explorer: reads a model and images, computes the content of the page, then saves or serves it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from triptych.artefacts.loading import load
from triptych.artefacts.model import TrainedModel
from triptych.errors import CheckpointError
from triptych.evaluation.opening import ModelLike, find_model
from triptych.evaluation.run_images import images_of_run
from triptych.explorer.collection import Collection, of_images, of_run
from triptych.explorer.content.columns import OTHER
from triptych.explorer.content.layout import known_map, neighbour_map
from triptych.explorer.content.payload import Payload, build_payload
from triptych.explorer.content.pictures import Pictures
from triptych.explorer.corrections import CorrectionsFile
from triptych.explorer.server import ExplorerServer
from triptych.explorer.static import write_static
from triptych.explorer.viewpoint import Viewpoint, look_at
from triptych.runs.find import run_of_checkpoint

CORRECTIONS = "corrections.csv"


@dataclass(frozen=True, eq=False)
class Explorer:
    """Images and the outputs of one or two models for the page, returned by `triptych.explore`.

    Attributes:
        collection: The images.
        view: The model and its outputs.
        other: Those of the model beside it.
        payload: The content of the page.
    """

    collection: Collection
    view: Viewpoint
    other: Viewpoint | None
    payload: Payload

    def save(self, path: str | Path) -> int:
        """Write the page as one file with the model inside, which opens from the disk and needs no network.

        Returns:
            Its size in bytes.
        """
        self.lay_out()
        return write_static(Path(path), self.payload)

    def serve(self, *, port: int = 0, corrections: str | Path = CORRECTIONS) -> ExplorerServer:
        """Serve the page on this machine, by its principal axes at once, and by t-SNE as soon as that is computed.

        Args:
            port: Where to listen; 0 chooses a free port.
            corrections: The file that corrections of labels are written to.

        Returns:
            The server, which runs until `close` is called; `url` is where the page is.

        Raises:
            DataError: The port cannot be used, or the file is no table of corrections.
        """
        file = CorrectionsFile(Path(corrections), self.collection)
        other = None if self.other is None else self.other.model
        pictures = Pictures(self.collection, self.view.model, other)
        return ExplorerServer(self.payload, file, pictures, port=port, lay_out=self.lay_out)

    def lay_out(self) -> None:
        """Add the maps by t-SNE, from the cache where they are known."""
        for prefix in ("", OTHER) if self.other else ("",):
            if f"{prefix}tsne" not in self.payload.blobs:
                points = neighbour_map(self.payload.column(f"{prefix}embedding"))
                self.payload.add_columns({"tsne": points.astype("<f4")}, prefix=prefix)

    def add_known_maps(self) -> None:
        """Add the maps that are in the cache."""
        for prefix in ("", OTHER) if self.other else ("",):
            points = known_map(self.payload.column(f"{prefix}embedding"))
            if points is not None:
                self.payload.add_columns({"tsne": points.astype("<f4")}, prefix=prefix)


def explore(
    model: ModelLike,
    images: str | Path | None = None,
    *,
    split: str = "test",
    compare: ModelLike | None = None,
    root: str | Path | None = None,
    output: str | Path = ".",
    announce: Callable[[str], None] = lambda _: None,
) -> Explorer:
    """Compute what the explorer's page shows; arguments and errors are those of `triptych.explore`.

    Args:
        model: The model.
        images: A folder or a table; None: the images of the model's run.
        split: Of the run: "train", "val", "test" or "all".
        compare: A second model.
        root: Where the images of the run are now.
        output: The output directory in which the names of runs are looked up.
        announce: Called with what is being done.

    Warns:
        ImageWarning: The images of the run differ from those of training.
    """
    announce("reading the model")
    trained = _loaded(model, output)
    beside = None if compare is None else _loaded(compare, output)
    announce("reading the images")
    if images is None:
        collection = of_run(images_of_run(trained, root=root), split=split)
    else:
        collection = of_images(Path(images).expanduser(), trained.description)
    announce("running the model over the images")
    name, other_name = told_apart(trained, beside)
    view = look_at(collection, trained, name=name, prepared=True)
    other = None
    if beside is not None:
        is_same = beside.description.preprocessing == trained.description.preprocessing
        other = look_at(collection, beside, name=other_name, prepared=is_same)
    announce("packing the page")
    explorer = Explorer(collection, view, other, build_payload(collection, view, other))
    explorer.add_known_maps()
    return explorer


def model_name(model: TrainedModel) -> str:
    """Return the display name of a model: its run, such as digits/3, or its file or folder."""
    assert model.path is not None, "it was loaded from a file"
    run = run_of_checkpoint(model.path)
    if run is not None:
        return run.name
    return model.path.resolve().name


def told_apart(model: TrainedModel, other: TrainedModel | None) -> tuple[str, str]:
    """Name two models; equal names, as of runs in two output directories, get the first part of the paths that differs.

    Args:
        model: The first model.
        other: The second one; its name is empty where there is none.
    """
    name, second = model_name(model), "" if other is None else model_name(other)
    if other is None or name != second:
        return name, second
    parts = zip(_parts(model), _parts(other), strict=False)
    differing = next((pair for pair in parts if pair[0] != pair[1]), None)
    return (name, second) if differing is None else (f"{name} ({differing[0]})", f"{second} ({differing[1]})")


def _parts(model: TrainedModel) -> tuple[str, ...]:
    assert model.path is not None, "it was loaded from a file"
    return model.path.resolve().parts


def _loaded(model: ModelLike, output: str | Path) -> TrainedModel:
    if isinstance(model, TrainedModel):
        if model.path is None:
            raise CheckpointError("Expected a model that was loaded from a file, but this one has no path.")
        return model
    return load(find_model(model, output=output))
