"""Exports a trained model as a bundle: weights, ONNX files, model card and description, written atomically."""

import glob
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from triptych.artefacts.bundle import CARD, DECODER, ENCODER, WEIGHTS, write_config
from triptych.artefacts.description import ModelDescription
from triptych.artefacts.engines.onnx_engine import KEY, OnnxEngine
from triptych.artefacts.export.card import model_card
from triptych.artefacts.export.onnx_graphs import graph_fingerprint, read_graph, write_graph
from triptych.artefacts.export.pictures import MAP, SAMPLES, draw_pictures, draw_samples, encoded, shrink
from triptych.artefacts.export.quantising import mean_average_precision, quantise
from triptych.artefacts.model import TrainedModel
from triptych.artefacts.run_pixels import RunPixels, can_be_read, run_pixels
from triptych.errors import DataError
from triptych.runs.find import run_of_checkpoint
from triptych.runs.metrics_file import read_metrics

if TYPE_CHECKING:
    from triptych.artefacts.export.onnx_export import InputType

NEEDED = {
    "torch": "PyTorch",
    "onnx": "onnx",
    "onnxscript": "onnxscript",
    "safetensors": "safetensors",
    "onnxruntime": "ONNX Runtime",
}
"""Libraries for exporting, and their package names."""


def export(
    model: "TrainedModel | str | Path",
    folder: str | Path,
    *,
    input_type: "InputType" = "float32",
    compact: bool = False,
    quantise_to: Literal["int8"] | None = None,
    pictures: bool = True,
    root: str | Path | None = None,
) -> Path:
    """Write a trained model as a bundle, which needs neither the run nor its images, and no PyTorch for inference.

    Args:
        model: The model, or its path, as in `triptych.load`.
        folder: A new folder.
        input_type: Input of encoder.onnx: "float32" pixels in [0, 1], or "uint8".
        compact: Write only ONNX files, with weights rounded to float16: a quarter of the bytes. The rounded model has
            its own fingerprint, and PyTorch cannot load it.
        quantise_to: "int8" also writes encoder.int8.onnx, and measures its loss of MAP@R and its speed-up on test
            images of the run, which are required.
        pictures: Draw test images, reconstructions and nearest neighbours for the card, if the images of the run are on
            this machine. MAP@R is also measured on them, unless `triptych evaluate` has done so.
        root: Current location of the run's images (`dataset.root`); None: that of training.

    Returns:
        The folder, with config.json, model.safetensors, encoder.onnx, decoder.onnx (for a model with a decoder) and a
        model card, README.md, with its pictures. `triptych.load` reads it.

    Raises:
        DataError: The folder already exists and is not empty; another process is writing it; a library for exporting is
            not installed; or the images of the run, which int8 needs, cannot be read.
        CheckpointError: There is no model at that path.

    Example:
        >>> from triptych import load
        >>> sorted(path.name for path in export("best.ckpt", "bundle", pictures=False).iterdir())
        ['README.md', 'config.json', 'decoder.onnx', 'encoder.onnx', 'model.safetensors', 'samples.png']
        >>> load("bundle").fingerprint == load("best.ckpt").fingerprint
        True
    """
    for library, title in NEEDED.items():
        if find_spec(library) is None:
            raise DataError(
                f"Exporting needs the library {title}: install it with pip install 'triptych[train,export]'."
            )
    from triptych.artefacts.loading import load

    if not isinstance(model, TrainedModel):
        model = load(model, device="cpu")
    if not model.has_network:
        raise DataError(
            f"{model.path}: expected a model of PyTorch to export, got ONNX files, which are exported already. Name "
            "its checkpoint, or copy the bundle."
        )
    folder = Path(folder).expanduser()
    _require_new(folder)
    images = None
    if quantise_to is not None or (pictures and can_be_read(model.description, root=root)):
        images = _images(model.description, root=root, are_needed=quantise_to is not None)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _partial(folder) as partial:
        description = _write_files(model, partial, input_type=input_type, compact=compact)
        written = _opened(partial, description)
        if model.latent_dim is not None:
            draw_samples(written, partial / SAMPLES)
        if images is not None:
            description = _measure(written, images, partial, pictures=pictures)
        if pictures and (run_map := _run_map(model)) is not None:
            shrink(run_map, partial / MAP)
        if quantise_to is not None:
            assert images is not None
            description = description.model_copy(update={"quantisation": quantise(partial, description, images)})
        size = sum(path.stat().st_size for path in partial.iterdir())
        (partial / CARD).write_text(model_card(description, written, folder=partial, size=size), encoding="utf-8")
        write_config(partial, description)
    return folder


def _require_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: expected a new folder for the bundle, but it exists already. Name another one.")


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, which is renamed to `folder` at the end; those of killed exports are removed.

    Raises:
        DataError: Another process exports to that folder, or has just done so.
    """
    lock = FileLock(folder.absolute().with_name(f".{folder.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise DataError(
            f"{folder}: expected a new folder for the bundle, but another process is writing one there now. Name "
            "another folder, or wait."
        ) from None
    partial = None
    try:
        _require_new(folder)
        for leftover in folder.parent.glob(f".{glob.escape(folder.name)}.*.part"):
            shutil.rmtree(leftover, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
        yield partial
        if folder.exists():
            folder.rmdir()
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _write_files(model: TrainedModel, folder: Path, *, input_type: "InputType", compact: bool) -> ModelDescription:
    """Write weights and ONNX files, and return the description of the model in them."""
    from triptych.artefacts.export.onnx_export import export_onnx

    description = model.description.model_copy(update={"metrics": measured_metrics(model), "quantisation": None})
    if not compact:
        from safetensors.torch import save

        state = model.network.state_dict()
        weights = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
        content = save(weights, metadata={"format": "pt", "fingerprint": description.fingerprint})
        (folder / WEIGHTS).write_bytes(content)  # not by the library: a full disk raises OSError
    export_onnx(
        model.network,
        folder,
        input_shape=description.preprocessing.input_shape,
        description=description.model_dump_json(),
        input_type=input_type,
        half=compact,
    )
    if compact:
        graph = read_graph(folder / ENCODER)
        own = graph_fingerprint(graph, description.fingerprint)
        # Metrics of the original weights are not valid for the rounded model.
        description = description.model_copy(update={"fingerprint": own, "metrics": {}})
        write_graph(graph, folder / ENCODER, metadata={KEY: description.model_dump_json()})
    return description


def _opened(folder: Path, description: ModelDescription) -> TrainedModel:
    """Open the ONNX files of a bundle that has no config.json yet."""
    decoder = folder / DECODER if (folder / DECODER).exists() else None
    return TrainedModel(OnnxEngine(folder / ENCODER, decoder, device="cpu"), description, path=folder)


def _measure(model: TrainedModel, images: RunPixels, folder: Path, *, pictures: bool) -> ModelDescription:
    """Draw the pictures, and add missing metrics to the description."""
    description, test = model.description, images.test
    outputs = encoded(model, test.pixels)
    if pictures:
        draw_pictures(model, test, outputs, folder)
    if "map_at_r" in description.metrics or not len(test.labels):
        return description
    measured: dict[str, float | int] = {
        "accuracy": float((outputs.logits.argmax(1) == test.labels).mean()),
        "map_at_r": mean_average_precision(outputs.embeddings, test.labels),
    }
    if outputs.latents is not None:
        errors = [
            model.squared_errors(test.pixels[start : start + 256], outputs.latents[start : start + 256])
            for start in range(0, len(test.labels), 256)
        ]
        measured["mse"] = float(sum(part.sum() for part in errors) / len(test.labels))
    known = {**measured, **description.metrics, "measured_images": len(test.labels)}
    return description.model_copy(update={"metrics": known})


def _images(description: ModelDescription, *, root: str | Path | None, are_needed: bool) -> RunPixels | None:
    """Read images of the run; if they are only for pictures, unreadable images are ignored."""
    try:
        return run_pixels(description, root=root)
    except DataError:
        if are_needed:
            raise
        return None


def _run_map(model: TrainedModel) -> Path | None:
    """Return the map of embeddings that a run has drawn for its best epoch."""
    run = None if model.path is None else run_of_checkpoint(model.path)
    found = None if run is None else run.version_folder / "embeddings_tsne.png"
    return found if found is not None and found.is_file() else None


def measured_metrics(model: TrainedModel) -> dict[str, float | int]:
    """Return the test metrics of a model's run; for a bundle, its stored metrics."""
    run = None if model.path is None else run_of_checkpoint(model.path)
    if run is None or not run.metrics.is_file():
        return dict(model.description.metrics)
    found: Any = read_metrics(run.metrics).get("test", {})
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124 # no NaN
    }
