"""The description of a trained model without its weights, as plain values, in every kind of model file."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from triptych.config.schema import RunConfig
from triptych.data.pixels.preprocessing import Preprocessing
from triptych.version import __version__


class Quantisation(BaseModel):
    """What an encoder in 8-bit integers costs and gains, as it was measured when it was made.

    Attributes:
        file: Its name in the bundle.
        fingerprint: Its own: its embeddings are not those of the float32 encoder.
        calibration_images: Training images by which the ranges of values were chosen.
        split: Where the figures were measured.
        images: How many images of that split.
        map_at_r: MAP@R by kind of the weights, "float32" and "int8".
        accuracy: Accuracy of the classifier, likewise.
        milliseconds: For an image, in batches of `batch_size` on one thread, likewise.
        batch_size: Images at a time when the time was measured.
        cosine_similarity: Mean over the images of that between the two embeddings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^[\w.-]+\.onnx$")
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$")
    calibration_images: int
    split: str
    images: int
    map_at_r: dict[str, float]
    accuracy: dict[str, float]
    milliseconds: dict[str, float]
    batch_size: int
    cosine_similarity: float


class ModelDescription(BaseModel):
    """What has to be known of a model to build it, to feed it and to read its outputs.

    Attributes:
        config: The run that trained it.
        classes: Class names, in the order of the logits.
        pixel_mean: Mean of each channel of the training images, pixels in [0, 1].
        pixel_std: Standard deviation of each channel.
        backbone: The description of its pretrained encoder; None for Triptych's own.
        metrics: What was measured on the test images, by name; empty where nothing is known.
        data_fingerprint: SHA-256 of labels and files of the images that trained, validated and tested it; None where
            the checkpoint does not record it.
        quantisation: The encoder in 8-bit integers beside the other, if there is one.
        version: The version of Triptych that described it.
        fingerprint: SHA-256, in hexadecimal, of weights, preprocessing and class names: two models with the same
            fingerprint compute the same embeddings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: RunConfig
    classes: tuple[str, ...] = Field(min_length=1)
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    backbone: dict[str, Any] | None = None
    metrics: dict[str, float | int] = {}
    data_fingerprint: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    quantisation: Quantisation | None = None
    version: str = __version__
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _ = self.preprocessing  # of images whose number of channels is known
        return self

    def differs_from(self, other: Self) -> list[str]:
        """Return the names of what another description of the same model states differently, except measurements."""
        names = (name for name in type(self).model_fields if name not in ("metrics", "quantisation", "version"))
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    @property
    def preprocessing(self) -> Preprocessing:
        """What the run does to images before the model sees them."""
        dataset = self.config.dataset
        return Preprocessing(
            shape=dataset.stored_shape,
            fit=dataset.fit,
            pad=dataset.pad,
            white=dataset.white_level or 65535,
            background=dataset.background_colour,
        )
