"""Description of a pretrained network without its weights: enough to rebuild it without its library's files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

from torch import nn


class BackboneError(ValueError):
    """A pretrained encoder is not available or not usable; the message has what was expected, received, and a fix."""


class BackboneDownloadError(BackboneError):
    """The weights could not be downloaded."""


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error, for use in a message; the error's class if it has no text.

    Example:
        >>> first_line(ValueError("The sizes do not match."))
        'The sizes do not match'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".:")


@dataclass(frozen=True)
class BackboneDescription:
    """A pretrained network, described by plain values that a checkpoint can hold.

    Attributes:
        source: Its name, as in `model.backbone`.
        config: The library's config, from which the library builds the network with random weights.
        image_size: Height and width of its training images.
        channels: Number of channels of its training images.
        image_mean: Mean of each channel in its input normalisation, pixels in [0, 1].
        image_std: Standard deviation of each channel in its input normalisation.
    """

    source: str
    config: Mapping[str, Any]
    image_size: tuple[int, int]
    channels: int
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]

    def plain(self) -> dict[str, Any]:
        """Return the description as dictionaries, lists, numbers and text."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """Read what `plain` returned.

        Raises:
            BackboneError: The values do not describe a network.
        """
        try:
            height, width = values["image_size"]
            return cls(
                source=str(values["source"]),
                config=dict(values["config"]),
                image_size=(int(height), int(width)),
                channels=int(values["channels"]),
                image_mean=tuple(map(float, values["image_mean"])),
                image_std=tuple(map(float, values["image_std"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BackboneError(
                f"expected the description of a pretrained encoder, got one that cannot be read ({error!r})"
            ) from error

    @property
    def library(self) -> str:
        """The library of the network: "hf" or "timm"."""
        return self.source.partition(":")[0]


class Backbone(NamedTuple):
    """A network and its description."""

    network: nn.Module
    """Maps normalised images (B, channels, h, w) to features (B, F)."""
    description: BackboneDescription
