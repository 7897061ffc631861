"""Loads trained models from checkpoints, run folders, bundles, ONNX files, the Hub and the package."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from triptych.artefacts.bundle import (
    DECODER,
    ENCODER,
    WEIGHTS,
    checked_file,
    is_bundle,
    listed_files,
    parsed,
    read_description,
)
from triptych.artefacts.hub import PREFIX, download
from triptych.artefacts.model import TrainedModel
from triptych.errors import CheckpointError
from triptych.packages import training_packages
from triptych.runs.checkpoint_list import best_checkpoint
from triptych.runs.find import find_run, is_name_of_run, named_run, run_of_folder
from triptych.runs.folders import RunFolders, all_runs
from triptych.zoo import zoo_folder

if TYPE_CHECKING:
    import torch
    from torch import nn


CONFIGS = (".yaml", ".yml")

Engines: TypeAlias = Literal["auto", "torch", "onnx"]
"""Engines for a bundle."""


def load(
    path: str | Path,
    *,
    device: "str | torch.device" = "auto",
    encoder: "nn.Module | None" = None,
    engine: Engines = "auto",
) -> TrainedModel:
    """Load a trained model, without Lightning.

    Args:
        path: A checkpoint (`.ckpt`), a legacy `.pth` file, the version folder of a run, or an output directory (the
            latest run); for a run, the best checkpoint is loaded. Or a result of `triptych export`: the folder of a
            bundle, or its `encoder.onnx` or `encoder.int8.onnx`. Or "hf:user/name", a bundle on the Hugging Face Hub;
            or, if no file has that name, a run in the working directory such as "digits/3", or "mnist",
            "fashionmnist", "cifar10" or "digits", a model in the package.
        device: "cpu", "cuda", "mps"; "auto" chooses the GPU if there is one.
        encoder: The module that the model was trained with, if it was passed to `triptych.train`; a copy of it gets the
            trained weights.
        engine: Engine of a bundle: "torch" or "onnx"; "auto" is PyTorch if installed.

    Raises:
        CheckpointError: There is no model, or its file is damaged, contains code, or is from another program.
        MissingPackage: A checkpoint needs PyTorch, which is not installed.
        ValueError: This machine has no such device.

    Example:
        >>> model = load("best.ckpt")
        >>> model.embed("photos")
        Embeddings of 24 images, 6 dimensions
    """
    place = find_checkpoint(path)
    if place.suffix == ".onnx" or (is_bundle(place) and not _uses_torch(engine, place, encoder)):
        return _load_onnx(place, device)
    with training_packages():
        from triptych.artefacts.checkpoint import read_model
        from triptych.artefacts.engines.torch_engine import TorchEngine, choose_device

    chosen = choose_device(device)
    saved = read_model(place)
    return TrainedModel(TorchEngine(saved.network(encoder), device=chosen), saved.description(), path=place)


def load_model(path: str | Path, device: "str | torch.device" = "cpu") -> "tuple[nn.Module, dict[str, Any]]":
    """Load the network of a legacy `.pth` file, or of a checkpoint; `triptych.load` returns an object for images.

    Returns:
        The network, in evaluation mode, on `device`; and the whole checkpoint.

    Raises:
        CheckpointError: The file is missing, damaged, contains code, or its weights do not match its config.

    Example:
        >>> network, checkpoint = load_model("best.ckpt")
        >>> network.training, sorted(checkpoint)
        (False, ['hyper_parameters', 'state_dict'])
    """
    with training_packages():
        from triptych.artefacts.checkpoint import read_model

    saved = read_model(Path(path), map_location=device)
    return saved.network().to(device), saved.content


def find_checkpoint(path: str | Path, *, output: str | Path = ".") -> Path:
    """Return the checkpoint or bundle at a path, as in `load`; a bundle on the Hub is downloaded.

    Args:
        path: The path.
        output: The output directory in which the names of runs are looked up.

    Raises:
        CheckpointError: It is a config; a folder has no run, or none with a checkpoint; there is no run of that name;
            or the Hub has no such bundle.
    """
    if str(path).startswith(PREFIX):
        return download(str(path))
    place = Path(path).expanduser()
    if not place.exists() and (folder := zoo_folder(str(path))) is not None:
        return folder
    if not place.is_dir() and place.suffix.lower() in CONFIGS:
        raise CheckpointError(
            f"{place} is a config: expected a checkpoint, a run folder, or a run as digits/3. Train the config first, "
            "with `triptych train`, then name the run."
        )
    if not place.exists() and is_name_of_run(str(path)):
        return best_checkpoint(find_run(str(path), Path(output)))
    if not place.is_dir() or is_bundle(place):
        return place
    if (best := place / "best.ckpt").is_file():
        return best
    # A folder of images may have the name of a run: the class 0 of the data set digits.
    run = run_of_folder(place) or _latest_run(place) or named_run(str(path), Path(output))
    if run is None:
        raise CheckpointError(
            f"{place}: expected a checkpoint, the version folder of a run (img_tasks/<dataset>/experiment/version_X), "
            "or an output directory; got a folder without any run. Name a .ckpt file."
        )
    return best_checkpoint(run)


def _uses_torch(engine: Engines, bundle: Path, encoder: "nn.Module | None") -> bool:
    """Return whether PyTorch computes a bundle: if it is installed, with all requirements."""
    if engine != "auto":
        return engine == "torch"
    is_whole = encoder is not None or not (read_description(bundle).config.model.backbone or "").startswith("module:")
    return is_whole and (bundle / WEIGHTS).is_file() and find_spec("torch") is not None


def _load_onnx(place: Path, device: "str | torch.device") -> TrainedModel:
    """Load a bundle, or a single encoder, with ONNX Runtime.

    Raises:
        CheckpointError: A file is missing, damaged, or of another model than the description.
    """
    from triptych.artefacts.engines.onnx_engine import OnnxEngine

    is_folder = place.suffix != ".onnx"
    folder = place if is_folder else place.parent
    is_listed = is_folder or (is_bundle(folder) and place.name in listed_files(folder))
    file = folder / ENCODER if is_folder else place
    decoder: Path | None = folder / DECODER
    if not (folder / DECODER).is_file():
        decoder = None
    if is_listed:  # a file of a bundle
        for one in (file, *([decoder] if decoder else [])):
            checked_file(folder, one.name)
    loaded = OnnxEngine(file, decoder, device=str(device))
    description = parsed(loaded.description, file)
    if is_folder:
        stated = read_description(place)
        if stated.fingerprint != description.fingerprint:
            raise CheckpointError(
                f"{file}: expected the encoder of the model {stated.fingerprint:.12} that config.json describes, got "
                f"that of {description.fingerprint:.12}. Copy the bundle again."
            )
        if differing := stated.differs_from(description):
            raise CheckpointError(
                f"{folder}: expected one description of the model in config.json and {ENCODER}, but they differ in "
                f"{', '.join(differing)}. Copy the bundle again."
            )
        description = stated
    expected = (*description.preprocessing.input_shape, len(description.classes))
    if (*loaded.input_shape, loaded.num_classes) != expected:
        raise CheckpointError(
            f"{file}: expected an encoder of images and classes {expected}, as its description states; got "
            f"{(*loaded.input_shape, loaded.num_classes)}. Export the model again."
        )
    return TrainedModel(loaded, description, path=place)


def _latest_run(root: Path) -> RunFolders | None:
    """Return the run in an output directory that was started last."""
    lists = {run.checkpoint_list: run for run in all_runs(root)}
    return lists[max(lists, key=lambda path: path.stat().st_mtime if path.is_file() else 0.0)] if lists else None
