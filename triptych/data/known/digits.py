"""The 1,797 handwritten digits of 8x8 pixels in scikit-learn: real images without files or network."""

import numpy as np
import torch

from triptych.data.known.reading import Part, Parts

TEST_FRACTION = 0.2
SPLIT_SEED = 0
"""Seed of the test set, constant for all versions: the data set has no official one."""


def read_digits() -> Parts:
    """Read the digits, 17 grey levels scaled to 0 to 255, split by class into 1,437 training and 360 test images.

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
