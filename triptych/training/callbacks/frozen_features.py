"""Features of a frozen encoder: computed once before training, and cached on disk for later runs."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from triptych.config.schema import RunConfig
from triptych.data.known.locate import features_folder
from triptych.data.module import ImageDataModule
from triptych.data.pixels.mapped import Images, content_digest, parts
from triptych.files import replacing
from triptych.models import ImageTransformer, MultiTaskImageTransformer
from triptych.training.callbacks.known_features import KnownFeatures
from triptych.training.modules import TaskModule

AT_ONCE = 128
"""Batch size of the encoder."""

VERSION = 2
"""Version of the computation: a change invalidates the cache."""

Model = ImageTransformer | MultiTaskImageTransformer


class FrozenFeatures(Callback):
    """Passes the features of the training and validation images to the module, so that only the heads are trained.

    If the features of an image differ from step to step, they are computed at every step, and the reason is printed.
    """

    def __init__(
        self, config: RunConfig, data: ImageDataModule, console: Console, *, folder: Path | None = None
    ) -> None:
        self.config = config
        self.data = data
        self.console = console
        self.folder = folder or features_folder()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Compute features that are not cached yet, on the training device."""
        assert isinstance(pl_module, TaskModule)
        if self.config.model.backbone is None or not pl_module.model.encoder.is_frozen:
            return
        if reason := why_features_change(self.config):
            self._show(f"computed at every step, because {reason}")
            return
        # Settings that the weights do not determine, such as the number of heads.
        structure = pl_module.hparams["backbone"]["config"]
        features = {
            stage: frozen_features(
                pl_module.model, images, structure=structure, folder=self.folder, console=self.console
            )
            for stage, images in (("train", self.data.train.images), ("val", self.data.validation.images))
        }
        pl_module.known_features = KnownFeatures(features)
        self._show(f"of {sum(map(len, features.values())):,} images, computed once and kept in {self.folder}")

    def _show(self, text: str) -> None:
        self.console.print(f"[bold]{'features':>10}[/bold]  {text}", highlight=False, soft_wrap=True)


def why_features_change(config: RunConfig) -> str:
    """Return why a frozen encoder's features cannot be precomputed; empty if they can."""
    if not config.model.cache_features:
        return "model.cache_features is false"
    augmentation = config.dataset.augmentation.model_dump(exclude={"erasing_area"})
    if any(augmentation.values()) and config.dataset.unaugmented_share < 1:
        return (
            "augmentation changes the images; without it (dataset.augmentation) they are computed once, and the heads "
            "train in seconds"
        )
    if config.training.triplet_mining == "random":
        return "triplets are drawn; mined in the batch (training.triplet_mining) they need no further images"
    return ""


def frozen_features(
    model: Model, images: Images, *, structure: Mapping[str, Any], folder: Path, console: Console
) -> Tensor:
    """Return the features of images, computed now or read from the cache.

    The file is named by a hash of the images and the encoder, not by their names or paths. If several processes need
    it at the same time, one computes and the others wait.

    Args:
        model: Model with a frozen encoder, on the device that computes.
        images: uint8 (N, C, H, W).
        structure: The architecture of the encoder, as plain values.
        folder: The folder of the cache.
        console: Output for the progress.

    Returns:
        (N, F) float32, memory-mapped.
    """
    file = folder / f"{_key(model, images, structure)}.npy"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        shape = (len(images), model.encoder.output_dim)
        known = _read(file, shape)
        if known is None:
            _compute(model, images, file, console)
            known = _read(file, shape)
            assert known is not None, "it has just been written"
        file.touch()  # `triptych cache clear --older-than` keeps recently used files
    return known


@torch.inference_mode()
def _compute(model: Model, images: Images, file: Path, console: Console) -> None:
    device = next(model.parameters()).device
    shape = (len(images), model.encoder.output_dim)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        _evaluating(model),
        replacing(file) as temporary,
        temporary.open("wb") as written,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("features", total=len(images))
        # Written sequentially, so that a full disk raises an error: with a memory-mapped file it would crash.
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(written, header)
        for part in parts(images, AT_ONCE):
            features = model.encoder(model.pixels(part.to(device).float() / 255))
            written.write(features.float().cpu().numpy().astype("<f4").tobytes())
            progress.advance(task, len(part))


def _read(file: Path, shape: tuple[int, int]) -> Tensor | None:
    """Memory-map a file of features; None if it is missing, damaged or has another shape."""
    try:
        # Copy on write: the file never changes.
        mapped = np.load(file, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return torch.from_numpy(mapped) if mapped.shape == shape and mapped.dtype == np.dtype("<f4") else None


def _key(model: Model, images: Images, structure: Mapping[str, Any]) -> str:
    """Return a hash of everything that the features depend on."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in [*model.encoder.state_dict().items(), *model.pixels.state_dict().items()]:
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    shown = getattr(model.encoder, "image_size", None)
    digest.update(f"{VERSION} {shown} {json.dumps(structure, sort_keys=True)}".encode())
    digest.update(content_digest(images))
    return digest.hexdigest()


@contextmanager
def _evaluating(model: Model) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
