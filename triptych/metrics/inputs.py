"""Inputs of the metrics: validation with the argument's name in the error, double precision, sampling."""

import numpy as np
import torch
from torch import Tensor


def require_matrix(name: str, rows: Tensor) -> None:
    """Require a matrix (N, E) of finite real numbers, N and E at least 1.

    Raises:
        ValueError: Naming the argument, what is wrong with it, and what to do.
    """
    if rows.ndim != 2 or 0 in rows.shape or rows.is_complex():
        raise ValueError(
            f"{name} must be a matrix of real numbers, (N, E) with N and E at least 1, but the shape is "
            f"{tuple(rows.shape)} and the type {rows.dtype}; give one row per image, a single one as row[None]"
        )
    if not rows.isfinite().all():
        raise ValueError(
            f"{name} must be finite, but {int((~rows.isfinite()).any(dim=1).sum())} of {len(rows)} rows are not; look "
            "for what makes the model overflow"
        )


def require_labels(name: str, labels: Tensor, *, count: int) -> None:
    """Require one integer for each of `count` rows.

    Args:
        name: The name of the argument.
        labels: Class indices (N,), of an integer type.
        count: The required number.

    Raises:
        ValueError: Naming the argument, what is wrong with it, and what to do.
    """
    if tuple(labels.shape) != (count,) or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"{name} must be {count} integers, of shape ({count},), but the shape is {tuple(labels.shape)} and "
            f"the type {labels.dtype}; give the class number of each row, in order"
        )


def require_same_shape(tensors: dict[str, Tensor], *, letters: str) -> None:
    """Require non-empty tensors of the same shape, with one dimension per letter.

    Args:
        tensors: The tensors, by argument name.
        letters: The dimensions, such as "(B, C, H, W)", for the message.

    Raises:
        ValueError: With the names of the arguments, their shapes, and what to do.
    """
    shapes = [tuple(tensor.shape) for tensor in tensors.values()]
    if len(set(shapes)) > 1 or len(shapes[0]) != sum(map(str.isalpha, letters)) or 0 in shapes[0]:
        raise ValueError(
            f"{' and '.join(tensors)} must have one shape {letters} with no 0 in it, but the shapes are "
            f"{' and '.join(map(str, shapes))}; give one for each image in all of them, in the same order"
        )


def require_whole_number(name: str, number: int, *, least: int) -> None:
    """Require an integer of at least `least`.

    Raises:
        ValueError: With the argument's name, its value, and what to do.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, but it is {number!r}; give such a number")


def require_together(*, gallery: Tensor | None, gallery_labels: Tensor | None) -> None:
    """Require a gallery and its labels together, or neither.

    Raises:
        ValueError: With the name of the missing argument, and what to do.
    """
    if (gallery is None) != (gallery_labels is None):
        missing = "gallery" if gallery is None else "gallery_labels"
        raise ValueError(
            f"gallery and gallery_labels must be given together, but {missing} is None; give both, or neither to "
            "compare each query with all others"
        )


def in_double(rows: Tensor) -> Tensor:
    """Return a float64 copy without gradients, on the same device; on the CPU if that is MPS, which has no float64."""
    device = torch.device("cpu") if rows.device.type == "mps" else rows.device
    return rows.detach().to(device, torch.float64, copy=True)


def sampled_rows(count: int, *, at_most: int, seed: int) -> Tensor:
    """Draw rows uniformly without replacement.

    Args:
        count: Number of rows.
        at_most: Rows that are wanted.
        seed: The same seed draws the same rows.

    Returns:
        The rows' numbers in rising order, int64: all of them, if they are no more than wanted.

    Example:
        >>> sampled_rows(3, at_most=5, seed=0)
        tensor([0, 1, 2])
    """
    if count <= at_most:
        return torch.arange(count)
    return torch.from_numpy(np.sort(np.random.default_rng(seed).choice(count, at_most, replace=False)))


def stratified_rows(labels: Tensor, *, at_most: int, seed: int) -> Tensor:
    """Draw a stratified sample: each class keeps its share to within one row; very small classes may get none.

    Args:
        labels: (N,) whole numbers.
        at_most: Rows that are wanted.
        seed: The same seed draws the same rows.

    Returns:
        The rows' numbers in rising order, int64: all of them, if they are no more than wanted.

    Example:
        >>> labels = torch.tensor([0] * 90 + [1] * 10)
        >>> labels[stratified_rows(labels, at_most=20, seed=0)].bincount()
        tensor([18,  2])
    """
    count = len(labels)
    if count <= at_most:
        return torch.arange(count)
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    by_class = shuffled[labels.cpu()[shuffled].argsort(stable=True)]
    # Equally spaced in the images sorted by class.
    places = ((torch.arange(at_most, dtype=torch.float64) + 0.5) * count / at_most).long()
    return by_class[places].sort().values
