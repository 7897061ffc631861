"""The 1,797 handwritten digits of 8x8 pixels inside scikit-learn: real images that need no file and no network."""

import numpy as np
import torch

from triptych.data.known.reading import Part, Parts

TEST_FRACTION = 0.2
SPLIT_SEED = 0
"""Fixes which digits are the test set, in every run of every version: their makers name none."""


def read_digits() -> Parts:
    """Read the digits, their 17 levels of grey spread over 0 to 255, divided by class into 1,437 and 360.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.

    Example:
        >>> train, test = read_digits()
        >>> len(train), len(test), tuple(train.images.shape[1:]), int(train.images.max())
        (1437, 360, (1, 8, 8), 255)
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    train, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_FRACTION, stratify=bunch.target, random_state=SPLIT_SEED
    )
    return Part(images[train], labels[train]), Part(images[test], labels[test])
