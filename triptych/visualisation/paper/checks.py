"""Checks of the tensors that figures take; errors name the argument at fault."""

from torch import Tensor


def require_images(batches: dict[str, Tensor]) -> None:
    """Demand batches of images, float, not empty, all of the first one's shape.

    Args:
        batches: Tensors (B, C, H, W) by the names of the arguments that they came in.

    Raises:
        ValueError: Naming the argument at fault, its shape or type, and what to do.
    """
    (first, model), *_ = batches.items()
    for name, images in batches.items():
        shape = tuple(images.shape)
        if len(shape) != 4 or 0 in shape:
            raise ValueError(
                f"{name} must be a batch of images, (B, C, H, W) with B at least 1, but its shape is {shape}; give one "
                "image as image[None]"
            )
        if not images.is_floating_point():
            raise ValueError(
                f"{name} must hold floats in [0, 1], but its type is {images.dtype}; convert uint8 pixels with "
                "images.float() / 255"
            )
        if shape != tuple(model.shape):
            raise ValueError(
                f"{name} must have the shape of {first}, {tuple(model.shape)}, but its shape is {shape}; give as many "
                "images of the same size and channels in each"
            )


def require_labels(name: str, labels: Tensor, *, count: int, num_classes: int) -> None:
    """Demand one class number in [0, num_classes) for each of `count` pictures or points.

    Args:
        name: The argument that the labels came in.
        labels: Class numbers (B,), of an integer type.
        count: How many there must be.
        num_classes: How many classes have names.

    Raises:
        ValueError: Naming the argument, what is wrong with it, and what to do.
    """
    if tuple(labels.shape) != (count,) or labels.is_floating_point():
        raise ValueError(
            f"{name} must be {count} integers, of shape ({count},), but the shape is {tuple(labels.shape)} and "
            f"the type {labels.dtype}; give the class number of each, in order"
        )
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= num_classes:
        raise ValueError(
            f"{name} must lie in 0 to {num_classes - 1}, as {num_classes} classes are named, but they go from {lowest} "
            f"to {highest}; give `classes` a name for every class number"
        )
