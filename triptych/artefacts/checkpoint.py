"""Trained models in PyTorch files: checkpoints and legacy `.pth` files, read without executing code in them."""

import hashlib
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.serialization import MAP_LOCATION

from triptych.artefacts.bundle import ENCODER, WEIGHTS, is_bundle, read_description, read_file
from triptych.artefacts.description import ModelDescription
from triptych.config.datasets import KNOWN_DATASETS
from triptych.config.schema import RunConfig
from triptych.data.pixels.traits import WHITE_LEVELS
from triptych.errors import CheckpointError, ConfigError
from triptych.files import open_regular
from triptych.models import ImageTransformer, MultiTaskImageTransformer
from triptych.models.builder import build_model, is_given, rebuild_backbone
from triptych.models.pretrained.backbone import BackboneDescription, BackboneError

NOT_IN_WEIGHTS = {"num_heads", "patch_size", "mirror_averaging", "backbone_image_size"}
"""Keys of the config's model that change its outputs without changing its weights."""


CONFIGS = frozenset({".yaml", ".yml"})
"""File extensions of configs, which users confuse with checkpoints."""


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A trained model as a file describes it.

    Attributes:
        path: The file.
        config: The run that trained the model.
        classes: Class names, in the order of the labels.
        pixel_mean: Mean of each channel of the training images, pixels in [0, 1].
        pixel_std: Standard deviation of each channel.
        backbone: The description of its pretrained encoder, as plain values; None for Triptych's own.
        weights: The state dict of the model.
        content: The full content of the file.
        known: The description of the model, if the file has one.
    """

    path: Path
    config: RunConfig
    classes: tuple[str, ...]
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    backbone: dict[str, Any] | None
    weights: Mapping[str, Tensor]
    content: dict[str, Any]
    known: ModelDescription | None = None

    def description(self) -> ModelDescription:
        """Return the description of the model without its weights."""
        if self.known is not None:
            return self.known
        return ModelDescription(
            config=self.config,
            classes=self.classes,
            pixel_mean=self.pixel_mean,
            pixel_std=self.pixel_std,
            backbone=self.backbone,
            data_fingerprint=self._data_fingerprint(),
            fingerprint=self.own_fingerprint(),
        )

    def network(self, encoder: nn.Module | None = None) -> ImageTransformer | MultiTaskImageTransformer:
        """Build the model and load its weights: in evaluation mode, on the CPU.

        Args:
            encoder: The module that the model was trained with, if any; a copy gets the weights.

        Raises:
            CheckpointError: Config, classes, pixel statistics and weights are inconsistent, or the library of the
                pretrained encoder is not installed.
        """
        self._check_size()
        with building(self.path):
            network = build_model(
                self.config,
                num_classes=len(self.classes),
                pixel_mean=self.pixel_mean,
                pixel_std=self.pixel_std,
                backbone=rebuild_backbone(BackboneDescription.from_plain(self.backbone)) if self.backbone else None,
                encoder=encoder,
            )
        load_weights(network, self.weights, self.path)
        return network.eval()

    def _check_size(self) -> None:
        """Check before building that the file is large enough for the weights of the model.

        An untrusted file can specify any size, which would otherwise be allocated.

        Raises:
            CheckpointError: The model of the config has more weights.
        """
        model = self.config.model
        values = sum(value.numel() for value in self.weights.values())
        sizes = model.embedding_dim, model.latent_dim, model.decoder_dim, model.principal_components
        own = (model.num_layers, model.embed_dim**2 * max(1, model.mlp_ratio) if model.num_layers else model.embed_dim)
        layers, width = own if model.backbone is None else (0, 0)
        if layers > len(self.weights) or max(width, *sizes) > values:
            raise CheckpointError(
                f"{self.path}: the weights do not fit the model that its config describes: it is larger than "
                f"{len(self.weights):,} weights with {values:,} values. Use the weights and the config of one and the "
                "same run."
            )

    def _data_fingerprint(self) -> str | None:
        """Return one digest of the splits' digests in the checkpoint."""
        run = self.content.get("triptych_run")
        splits = run.get("images") if isinstance(run, Mapping) else None
        if not isinstance(splits, Mapping) or not splits:
            return None
        known = {str(name): str(digest) for name, digest in splits.items()}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def own_fingerprint(self) -> str:
        """Compute SHA-256 of weights, preprocessing and class names."""
        dataset, model = self.config.dataset, self.config.model
        preprocessing: dict[str, object] = {"shape": dataset.stored_shape, "fit": dataset.fit, "pad": dataset.pad}
        if (white := dataset.white_level or WHITE_LEVELS[-1]) != WHITE_LEVELS[-1]:
            preprocessing["white"] = white
        if (background := dataset.background_colour) != (255, 255, 255):
            preprocessing["background"] = background
        known = {
            "preprocessing": preprocessing,
            "model": model.model_dump(mode="json", include=NOT_IN_WEIGHTS),
            "classes": self.classes,
        }
        digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
        for name, values in sorted(self.weights.items()):
            digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
            digest.update(values.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()


def read_model(path: Path, *, map_location: MAP_LOCATION = "cpu") -> SavedModel:
    """Read a checkpoint of training, a legacy `.pth` file, or the folder of a bundle.

    A legacy file is a dict with `model_state_dict` or `state_dict`, and `config` in the sections of the YAML file; the
    names of the weights may begin with `model.`. `classes`, `pixel_mean` and `pixel_std` are optional: the classes
    default to those of the config's known data set, the pixel statistics are usually among the weights.

    Raises:
        CheckpointError: The file is missing, damaged, contains code, or does not describe a model.
    """
    if is_bundle(path):
        return read_bundle(path)
    return described(read_checkpoint(path, map_location), path)


def read_bundle(folder: Path) -> SavedModel:
    """Read the weights and the description of a bundle.

    Raises:
        CheckpointError: A file of the bundle is missing or damaged.
    """
    from safetensors.torch import load

    description = read_description(folder)
    if not (folder / WEIGHTS).exists() and (folder / ENCODER).exists():
        raise CheckpointError(
            f"{folder}: expected a bundle with {WEIGHTS}, got one with ONNX files alone, which ONNX Runtime computes. "
            "Use the checkpoint or a whole bundle for what needs PyTorch."
        )
    content = read_file(folder, WEIGHTS)
    try:
        weights = load(content)
    except Exception as error:  # the library's error classes differ between releases
        raise CheckpointError(f"{folder / WEIGHTS}: expected weights, got a damaged file ({error}).") from error
    saved = SavedModel(
        path=folder,
        config=description.config,
        classes=description.classes,
        pixel_mean=description.pixel_mean,
        pixel_std=description.pixel_std,
        backbone=description.backbone,
        weights=weights,
        content={},
        known=description,
    )
    if saved.own_fingerprint() != description.fingerprint:
        raise CheckpointError(
            f"{folder}: expected weights of the fingerprint {description.fingerprint:.12} that config.json states, got "
            "others. Copy the bundle again, or export the model again."
        )
    return saved


def described(content: dict[str, Any], path: Path) -> SavedModel:
    """Find the model in the content of a file; arguments and errors are those of `read_model`."""
    weights = content.get("model_state_dict", content.get("state_dict"))
    described = content.get("hyper_parameters", content)
    if not (isinstance(described, Mapping) and "config" in described and _are_weights(weights)):
        raise CheckpointError(
            f"{path}: expected a dict with 'model_state_dict' or 'state_dict', and 'config'; got one with "
            f"{listed_keys(content)}. Save the weights and the config together."
        )
    check_design(described["config"], path, weights=weights)
    config = _config(described["config"], path)
    backbone = described.get("backbone")
    if config.model.backbone is not None and not is_given(config.model) and not isinstance(backbone, dict):
        raise CheckpointError(
            f"{path}: expected the description of its pretrained encoder ({config.model.backbone}) as 'backbone', got "
            "none. Use a checkpoint as training wrote it."
        )
    with building(path):
        channels = config.dataset.image_shape[0]
    known = KNOWN_DATASETS.get(config.dataset.name)
    return SavedModel(
        path=path,
        config=config,
        classes=_strings(described.get("classes", known.classes if known else None), path),
        pixel_mean=_numbers(described.get("pixel_mean", (0.0,) * channels), path),
        pixel_std=_numbers(described.get("pixel_std", (1.0,) * channels), path),
        backbone=backbone,
        weights=_of_model(weights),
        content=content,
    )


def read_checkpoint(path: Path, map_location: MAP_LOCATION = "cpu") -> dict[str, Any]:
    """Read a file of tensors and plain values.

    Raises:
        CheckpointError: It is missing, damaged, not a checkpoint, or contains code, which is not executed.
    """
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_archive(file)
            checkpoint = torch.load(file, map_location=map_location, weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"Expected a checkpoint at {path}, but there is no such file. Check the path.") from error
    except IsADirectoryError as error:
        raise CheckpointError(f"Expected a checkpoint file, got the folder {path}. Name a file inside it.") from error
    except OSError as error:
        raise CheckpointError(f"Expected a readable checkpoint at {path}; got: {error.strerror}.") from error
    except MemoryError as error:
        raise CheckpointError(
            f"{path}: there is not enough memory for this checkpoint. Use another machine."
        ) from error
    except Exception as error:
        # Invalid bytes can raise any error; no code of the file has been executed.
        if path.suffix.lower() in CONFIGS:
            raise CheckpointError(
                f"{path}: expected a checkpoint; got a config. `triptych train` trains it and writes checkpoints."
            ) from error
        raise CheckpointError(f"{path} {_why_unreadable(error)}") from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f"{path} is not a checkpoint: expected a dict with weights, got {type(checkpoint).__name__}. Use a .ckpt "
            "file that Triptych wrote, or a .pth file with 'model_state_dict' and 'config'."
        )
    return checkpoint


@contextmanager
def building(path: Path) -> Iterator[None]:
    """Convert errors in the description of a model that is built in the block to a CheckpointError."""
    try:
        yield
    except (BackboneError, ConfigError) as error:
        raise CheckpointError(f"{path}: its model cannot be built here. {error}") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: expected the description of a model, got one that does not fit together: {error}. Copy the file "
            "again."
        ) from error


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict.

    Raises:
        CheckpointError: Its names or shapes differ from those of the module.
    """
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        details = " ".join(str(error).split())[:400]
        raise CheckpointError(
            f"{path}: the weights do not fit the model that its config describes. {details}. Use the weights and the "
            "config of one and the same run."
        ) from error


def check_design(config: object, path: Path, *, weights: Iterable[str] = ()) -> None:
    """Detect models of earlier encoder versions, by their config or the names of their weights.

    Raises:
        CheckpointError: It is such a model.
    """
    model = config.get("model") if isinstance(config, Mapping) else None
    has_key = isinstance(model, Mapping) and "depthwise_convolution" in model
    if has_key or any("patch_embedding.convolutions." in name for name in weights):
        raise CheckpointError(
            f"{path}: expected a model of this version's design (max-pooling, batch normalisation, components beside "
            "the learned latent), got one of the design before it, with strided convolutions, which this version "
            "cannot build. Train it again with this version, or use the version that wrote it."
        )


def listed_keys(checkpoint: Mapping[str, Any]) -> str:
    """List the keys of a checkpoint, for a message."""
    return f"the keys {', '.join(map(repr, checkpoint))}" if checkpoint else "no keys"


def _check_archive(file: BinaryIO) -> None:
    """Verify the checksums in an archive of `torch.save`, which torch.load does not: it ignores flipped bits.

    Files from before PyTorch 1.6 are not archives and have no checksums.

    Raises:
        BadZipFile: A part of it is damaged.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
    file.seek(0)


def _why_unreadable(error: Exception) -> str:
    """Return our own explanation, because torch's message recommends trusting the file."""
    text = str(error)
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in text:
        wanted = re.search(r"GLOBAL ([\w.]+)", text)
        got = f"calls {wanted[1]}" if wanted else "holds something else, or is damaged"
        return (
            f"was rejected: expected a checkpoint, which holds tensors and plain values only; this file {got}. Nothing "
            "in it was run. Use a file that Triptych wrote, or save the weights again with "
            "`torch.save(model.state_dict(), …)`."
        )
    reason = text.partition(". ")[0].strip()[:120] or type(error).__name__
    return (
        "cannot be read as a checkpoint: expected a complete file written by torch.save, got a damaged or foreign one "
        f"({reason}). Copy it again, or use another checkpoint."
    )


def _are_weights(weights: object) -> TypeGuard[Mapping[str, Tensor]]:
    return isinstance(weights, Mapping) and all(isinstance(value, Tensor) for value in weights.values())


def _of_model(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove weights of the losses, and the prefix of the model in a Lightning module."""
    inside = {name.removeprefix("model."): value for name, value in weights.items() if name.startswith("model.")}
    return inside or dict(weights)


def _config(values: object, path: Path) -> RunConfig:
    try:
        return RunConfig.model_validate(_with_former_defaults(values))
    except ValidationError as error:
        found = [f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors()]
        listed = "; ".join(found).replace("\n", "; ")
        raise CheckpointError(
            f"{path}: this version cannot read the config in the checkpoint: {listed}. Load it with the version that "
            "wrote it."
        ) from error


def _strings(values: object, path: Path) -> tuple[str, ...]:
    if isinstance(values, list | tuple) and values and all(isinstance(value, str) for value in values):
        return tuple(values)
    raise CheckpointError(
        f"{path}: expected the names of its classes as 'classes', a list of text; got {values!r:.80}. Save them with "
        "the weights."
    )


def _numbers(values: object, path: Path) -> tuple[float, ...]:
    if isinstance(values, int | float):
        return (float(values),)
    if isinstance(values, list | tuple) and values and all(isinstance(value, int | float) for value in values):
        return tuple(map(float, values))
    raise CheckpointError(f"{path}: expected the pixel statistics as a list of numbers, got {values!r:.80}.")


def _with_former_defaults(values: object) -> object:
    """Fill in former defaults that have changed since a checkpoint was written, so that the run stays the same."""
    if not isinstance(values, Mapping) or not isinstance(values.get("dataset"), Mapping):
        return values
    training = values.get("training")
    seed = training.get("seed", 0) if isinstance(training, Mapping) else 0
    dataset = {"split_seed": seed, "white_level": 65535, **values["dataset"]}
    return {**values, "dataset": dataset}
