"""What a trained model is beside its weights, in plain values: read and written by every kind of model file."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from triptych.config.schema import RunConfig
from triptych.data.pixels.preprocessing import Preprocessing
from triptych.version import __version__


class ModelDescription(BaseModel):
    """What has to be known of a model to build it, to feed it and to read its outputs.

    Attributes:
        config: The run that trained it.
        classes: Class names, in the order of the logits.
        pixel_mean: Mean of each channel of the training images, pixels in [0, 1].
        pixel_std: Standard deviation of each channel.
        backbone: The description of its pretrained encoder; None for Triptych's own.
        metrics: What was measured on the test images, by name; empty where nothing is known.
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
    version: str = __version__
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$")

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
