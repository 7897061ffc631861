"""A bounded share of the rows, drawn by a seed: for figures whose cost grows with the square of the rows."""

import numpy as np
import torch
from torch import Tensor


def sampled_rows(count: int, *, at_most: int, seed: int) -> Tensor:
    """Draw rows evenly and without replacement.

    Args:
        count: Rows that there are.
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
