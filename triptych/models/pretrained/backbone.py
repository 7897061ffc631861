"""What is known of a pretrained network beside its weights: enough to build it again without its library's files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

from torch import nn


class BackboneError(ValueError):
    """A pretrained encoder that cannot be had or used: what was expected, what came, and what to do."""


class BackboneDownloadError(BackboneError):
    """Its weights could not be fetched."""


def first_line(error: BaseException) -> str:
    """Return the first line of a library's error, as a part of a message; its class where the error has no text.

    Example:
        >>> first_line(ValueError("The sizes do not match."))
        'The sizes do not match'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".:")


@dataclass(frozen=True)
class BackboneDescription:
    """A pretrained network, described in plain values that a checkpoint can hold.

    Attributes:
        source: As `model.backbone` names it.
        config: Of its library, from which it builds the network with random weights.
        image_size: Height and width of the images that it was trained with.
        channels: Theirs.
        image_mean: Of each channel, pixels in [0, 1]: what it expects to have been subtracted.
        image_std: What it expects them to have been divided by.
    """

    source: str
    config: Mapping[str, Any]
    image_size: tuple[int, int]
    channels: int
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]

    def plain(self) -> dict[str, Any]:
        """Return dictionaries, lists, numbers and text alone."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """Read what `plain` returned.

        Raises:
            BackboneError: The values are of something else.
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
        """Whose network it is: "hf" or "timm"."""
        return self.source.partition(":")[0]


class Backbone(NamedTuple):
    """A network and its description."""

    network: nn.Module
    """Maps normalised images (B, channels, h, w) to features (B, F)."""
    description: BackboneDescription
