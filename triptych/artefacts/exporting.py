"""A trained model becomes a bundle: weights, ONNX files, model card and description, written whole or not at all."""

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from triptych.artefacts.bundle import CARD, WEIGHTS, write_config
from triptych.artefacts.card import model_card, sample_sheet
from triptych.artefacts.model import TrainedModel
from triptych.artefacts.onnx_export import InputType, export_onnx
from triptych.errors import DataError
from triptych.runs.find import run_of_checkpoint
from triptych.runs.metrics_file import read_metrics

SAMPLES = "samples.png"


def export(model: "TrainedModel | str | Path", folder: str | Path, *, input_type: InputType = "float32") -> Path:
    """Write a trained model as a bundle, which needs neither a run nor its images, and for inference no PyTorch.

    Args:
        model: The model, or its place, as `triptych.load` takes it.
        folder: A new folder.
        input_type: What encoder.onnx takes: "float32" pixels in [0, 1], or "uint8".

    Returns:
        The folder, with config.json, model.safetensors, encoder.onnx, decoder.onnx (of a model with a decoder) and a
        model card, README.md. `triptych.load` reads it.

    Raises:
        DataError: The folder exists already, and is not empty; or a library for exporting is missing.
        CheckpointError: There is no model at that place.

    Example:
        >>> from triptych import load
        >>> sorted(path.name for path in export("best.ckpt", "bundle").iterdir())
        ['README.md', 'config.json', 'decoder.onnx', 'encoder.onnx', 'model.safetensors', 'samples.png']
        >>> load("bundle").fingerprint == load("best.ckpt").fingerprint
        True
    """
    for library in ("onnx", "onnxscript", "safetensors"):
        if find_spec(library) is None:
            raise DataError(f"Exporting needs the library {library}: install it with pip install 'triptych[export]'.")
    from safetensors.torch import save_file

    from triptych.artefacts.loading import load

    if isinstance(model, str | Path):
        model = load(model, device="cpu")
    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: expected a new folder for the bundle, but it exists already. Name another one.")
    network = model.network
    description = model.description.model_copy(update={"metrics": measured_metrics(model)})
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        weights = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
        save_file(weights, partial / WEIGHTS, metadata={"format": "pt", "fingerprint": description.fingerprint})
        export_onnx(
            network,
            partial,
            input_shape=description.preprocessing.input_shape,
            description=description.model_dump_json(),
            input_type=input_type,
        )
        if model.latent_dim is not None:
            sample_sheet(model.sample(32, seed=0), partial / SAMPLES)
        size = sum(path.stat().st_size for path in partial.iterdir())
        (partial / CARD).write_text(model_card(description, model, size=size), encoding="utf-8")
        write_config(partial, description)
        if folder.exists():
            folder.rmdir()
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def measured_metrics(model: TrainedModel) -> dict[str, float | int]:
    """Return what the run of a model has measured on its test images; of a bundle, what it holds already."""
    run = None if model.path is None else run_of_checkpoint(model.path)
    if run is None or not run.metrics.is_file():
        return dict(model.description.metrics)
    found: Any = read_metrics(run.metrics).get("test", {})
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124 # no NaN
    }
