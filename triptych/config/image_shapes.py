"""How large the images of each data set are: known before any data is read, so that a config can be checked first."""

IMAGE_SHAPES: dict[str, tuple[int, int, int]] = {
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "fashionmnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
}
"""Channels, height and width of an image, as stored."""
