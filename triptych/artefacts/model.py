"""The user interface of a trained model: from images of any kind to embeddings, classes and pictures."""

from collections.abc import Iterator, Sized
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from triptych.artefacts.description import ModelDescription
from triptych.artefacts.embeddings import Embeddings
from triptych.artefacts.engines.engine import Encoded, Engine
from triptych.data.own.unlabelled import Images, image_batches, listed, require_batch_size

if TYPE_CHECKING:
    from triptych.config.schema import RunConfig
    from triptych.models import ImageTransformer, MultiTaskImageTransformer

# N images, C channels, H/W image, E embedding_dim, K classes, L latent_dim.

BATCH_SIZE = 128


class Classification(NamedTuple):
    """The predicted classes of images."""

    names: tuple[str, ...]
    """The most probable class of each image, (N,)."""
    probabilities: NDArray[np.float32]
    """Probabilities of all classes, (N, K), in the order of `TrainedModel.classes`."""


class TrainedModel:
    """A trained model, returned by `triptych.load`.

    Images are paths, a folder, PIL images, uint8 arrays (H, W) or (H, W, C), or tensors (C, H, W), one or many of them,
    of any size and mode, with the same preprocessing as in training. Floating-point pixels are in [0, 1]. Pictures are
    returned as uint8 arrays (N, H, W, C), or (N, H, W) for greyscale models, as `PIL.Image.fromarray` expects.

    Batches are decoded by threads while the model computes; a progress bar is shown on a terminal.

    Args:
        engine: The engine that computes.
        description: The description of the model.
        path: The file or folder that it was loaded from.

    Attributes:
        description: The description of the model.
        path: The file or folder that it was loaded from.

    Example:
        >>> from triptych import load
        >>> model = load("best.ckpt", device="cpu")
        >>> names, probabilities = model.classify("photos/cat/1.png")
        >>> len(names), probabilities.shape
        (1, (1, 2))
        >>> latents = model.encode("photos/dog")
        >>> latents.shape, model.decode(latents).shape, model.sample(3, seed=0).shape
        ((12, 4), (12, 16, 16, 3), (3, 16, 16, 3))
    """

    def __init__(self, engine: Engine, description: ModelDescription, *, path: Path | None = None) -> None:
        self._engine = engine
        self.description = description
        self.path = path

    def __repr__(self) -> str:
        channels, height, width = self.description.preprocessing.shape
        return (
            f"TrainedModel({height}x{width}x{channels} images of {self.config.dataset.title}, {len(self.classes)} "
            f"classes, {self.embedding_dim} dimensions, on {self.device})"
        )

    @property
    def network(self) -> "ImageTransformer | MultiTaskImageTransformer":
        """The PyTorch model, in evaluation mode.

        Raises:
            ValueError: The model was loaded from an ONNX file.
        """
        network: ImageTransformer | MultiTaskImageTransformer | None = getattr(self._engine, "network", None)
        if network is None:
            raise ValueError(
                "this needs the model of PyTorch, and the model was loaded from an ONNX file; load its checkpoint or "
                "its bundle"
            )
        return network

    @property
    def has_network(self) -> bool:
        """Whether PyTorch computes, so that `network` is available."""
        return hasattr(self._engine, "network")

    @property
    def config(self) -> "RunConfig":
        """The run that trained the model."""
        return self.description.config

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, (K,)."""
        return self.description.classes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of weights, preprocessing and class names: embeddings of equal fingerprints can be compared."""
        return self.description.fingerprint

    @property
    def embedding_dim(self) -> int:
        """E, the dimensions of an embedding."""
        return self._engine.embedding_dim

    @property
    def latent_dim(self) -> int | None:
        """L, the dimensions of the latent; None for a model without a decoder."""
        return self._engine.latent_dim

    @property
    def device(self) -> str:
        """Device of the model."""
        return self._engine.device

    def embed(self, images: Images, *, batch_size: int = BATCH_SIZE, progress: bool | None = None) -> Embeddings:
        """Map images to embeddings of L2 norm 1.

        Args:
            images: One or many, as above.
            batch_size: Batch size of the model; it only affects speed and memory.
            progress: Whether a progress bar is shown; None shows it on a terminal.

        Raises:
            DataError: An image cannot be decoded, or a folder contains none.
            ValueError, TypeError: An item is not an image.
        """
        vectors, paths = [np.zeros((0, self.embedding_dim), np.float32)], list[Path | None]()
        for encoded, files in self.outputs(images, batch_size=batch_size, progress=progress):
            vectors.append(encoded.embeddings)
            paths += files
        return Embeddings(np.concatenate(vectors), tuple(paths), self.fingerprint)

    def classify(self, images: Images, *, batch_size: int = BATCH_SIZE, progress: bool | None = None) -> Classification:
        """Map images to class names and probabilities; the arguments are those of `embed`.

        Returns:
            Names (N,) and probabilities (N, K), which can be unpacked: `names, probabilities = model.classify(images)`.
        """
        logits = [np.zeros((0, len(self.classes)), np.float32)]
        logits += [encoded.logits for encoded, _ in self.outputs(images, batch_size=batch_size, progress=progress)]
        probabilities = softmax(np.concatenate(logits))
        return Classification(tuple(self.classes[label] for label in probabilities.argmax(1)), probabilities)

    def encode(
        self, images: Images, *, batch_size: int = BATCH_SIZE, progress: bool | None = None
    ) -> NDArray[np.float32]:
        """Map images to points of the latent space (N, L), the means of their posteriors.

        The arguments are those of `embed`. `decode` maps the points back to images.

        Raises:
            ValueError: The model has no latent space.
        """
        latents = [np.zeros((0, self._required_latent_dim()), np.float32)]
        for encoded, _ in self.outputs(images, batch_size=batch_size, progress=progress):
            assert encoded.latents is not None
            latents.append(encoded.latents)
        return np.concatenate(latents)

    def reconstruct(
        self, images: Images, *, batch_size: int = BATCH_SIZE, progress: bool | None = None
    ) -> NDArray[np.uint8]:
        """Map images to their reconstructions, uint8 (N, H, W, C), or (N, H, W) if C is 1.

        The arguments are those of `embed`. Height and width are those of the run, without its padding.

        Raises:
            ValueError: The model has no decoder.
        """
        return self.decode(self.encode(images, batch_size=batch_size, progress=progress), batch_size=batch_size)

    def decode(self, latents: ArrayLike, *, batch_size: int = BATCH_SIZE) -> NDArray[np.uint8]:
        """Map points of the latent space (N, L) to images, uint8 (N, H, W, C), or (N, H, W) if C is 1.

        Raises:
            ValueError: The model has no decoder, or the latents have another shape, or values that are not finite.
        """
        dimensions = self._required_latent_dim()
        points = np.asarray(latents, np.float32)
        if points.ndim != 2 or points.shape[1] != dimensions or not np.isfinite(points).all():
            raise ValueError(
                f"latents must be finite and have the shape (N, {dimensions}), but it is {points.shape}; "
                "model.encode(images) returns such points"
            )
        require_batch_size(batch_size)
        channels, height, width = self.description.preprocessing.input_shape
        pixels = [np.zeros((0, channels, height, width), np.float32)]
        for start in range(0, len(points), batch_size):
            pixels.append(self._engine.decode(points[start : start + batch_size]))
        return self._pictures(np.concatenate(pixels))

    def sample(self, n: int, *, seed: int | None = None) -> NDArray[np.uint8]:
        """Draw n new images from the prior N(0, I): uint8 (n, H, W, C), or (n, H, W) if C is 1.

        Args:
            n: Number of images.
            seed: Random seed; None gives different images each time.

        Raises:
            ValueError: The model has no decoder, or n is negative.
        """
        if n < 0:
            raise ValueError(f"n must be at least 0, but it is {n}")
        shape = (n, self._required_latent_dim())
        return self.decode(np.random.default_rng(seed).standard_normal(shape, np.float32))

    def push(self, name: str, *, private: bool = False) -> str:
        """Upload the model to the Hugging Face Hub; `triptych.load("hf:user/name")` loads it.

        Args:
            name: "user/name"; a missing repository is created.
            private: Whether a new repository is private.

        Returns:
            The URL of the commit.

        Raises:
            DataError: huggingface_hub is not installed, or the Hub rejects the upload: no token, or no such user.
        """
        from triptych.artefacts.hub import push

        return push(self, name, private=private)

    def outputs(
        self, images: Images, *, batch_size: int = BATCH_SIZE, progress: bool | None = None
    ) -> Iterator[tuple[Encoded, list[Path | None]]]:
        """Yield all outputs of the model and the files of the images, a batch at a time.

        The arguments and errors are those of `embed`.
        """
        from rich.console import Console
        from rich.progress import track

        require_batch_size(batch_size)
        images = listed(images)
        console = Console(stderr=True, force_terminal=progress)
        batches = image_batches(images, self.description.preprocessing, size=batch_size)
        shown = track(
            batches,
            "encoding images",
            total=ceil(len(images) / batch_size) if isinstance(images, Sized) else None,
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        for batch in shown:
            yield self.encode_pixels(batch.pixels), batch.paths

    def encode_pixels(self, pixels: NDArray[np.float32]) -> Encoded:
        """Compute embeddings, logits and latents of preprocessed images, (B, C, H, W)."""
        return self._engine.encode(pixels)

    def squared_errors(self, pixels: NDArray[np.float32], latents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the squared error of each reconstruction, a mean over the pixels without the padding, (B,).

        Args:
            pixels: Preprocessed images, (B, C, H, W).
            latents: Their latents, (B, L).
        """
        cut = self.description.preprocessing.without_padding
        errors: NDArray[np.float32] = np.square(cut(self._engine.decode(latents)) - cut(pixels)).mean((1, 2, 3))
        return errors

    def _pictures(self, pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Convert the model's images (N, C, H, W) to pictures."""
        inner = self.description.preprocessing.without_padding(pixels)
        pictures = np.rint(inner.transpose(0, 2, 3, 1) * 255).astype(np.uint8)
        return pictures[..., 0] if pictures.shape[-1] == 1 else pictures

    def _required_latent_dim(self) -> int:
        if self.latent_dim is None:
            raise ValueError(
                "this model has no decoder: it was trained with training.use_multitask_loss: false. Train one with "
                "true to reconstruct and sample images"
            )
        return self.latent_dim


def softmax(logits: NDArray[Any]) -> NDArray[np.float32]:
    """Return probabilities (N, K) from logits (N, K).

    Example:
        >>> softmax(np.array([[0.0, 0.0]]))
        array([[0.5, 0.5]], dtype=float32)
    """
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True, initial=-np.inf))
    probabilities: NDArray[np.float32] = (shifted / shifted.sum(1, keepdims=True)).astype(np.float32)
    return probabilities
