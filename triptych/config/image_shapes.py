"""Image sizes of the known data sets, so that a config can be checked before any data is read."""

from collections.abc import Sequence

IMAGE_SHAPES: dict[str, tuple[int, int, int]] = {
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "fashionmnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
}
"""Channels, height and width of an image of each known data set, as stored."""

OWN_IMAGES = ("folder", "table", "huggingface")
"""Kinds of your own images, which are resized to `dataset.image_size` and converted to `dataset.channels`."""


def image_shape(
    name: str, image_size: int | Sequence[int] | None, channels: int | None
) -> tuple[int | None, int, int] | None:
    """Return channels (None if the images decide), height and width; or None if no size is given.

    Example:
        >>> image_shape("mnist", None, None), image_shape("folder", 64, None), image_shape("table", [32, 48], 3)
        ((1, 28, 28), (None, 64, 64), (3, 32, 48))
    """
    if name in IMAGE_SHAPES:
        return IMAGE_SHAPES[name]
    if image_size is None:
        return None
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    return channels, height, width
