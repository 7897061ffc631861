"""Precomputed features of a frozen encoder, looked up by image index."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

DEVICE_SHARE = 0.25
"""Maximum share of a GPU's free memory for features; larger features stay in host memory or on disk."""


class KnownFeatures:
    """Features of a frozen encoder for the images of each split.

    Args:
        features: By stage ("train", "val"): (N, F) float32, in the order of the split, in memory or memory-mapped.
    """

    def __init__(self, features: Mapping[str, Tensor]) -> None:
        self.features = dict(features)

    def of(self, stage: str, index: Tensor) -> Tensor | None:
        """Return the features (B, F) of a batch by its `index` (B,), on its device; None for other stages.

        In later rounds of an epoch an image's index is larger by the length of the split (see `Batch`). Augmented
        images have other features: use it only without augmentation.
        """
        features = self.features.get(stage)
        if features is None:
            return None
        return features[index.to(features.device) % len(features)].to(index.device, non_blocking=True)

    def near(self, device: torch.device) -> "KnownFeatures":
        """Copy the features to the device if most of its memory stays free."""
        if device.type != "cuda":
            return self
        size = sum(features.nbytes for features in self.features.values())
        if size > DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
            return self
        return KnownFeatures({stage: features.to(device) for stage, features in self.features.items()})

    def __deepcopy__(self, memo: dict[int, Any]) -> "KnownFeatures":
        # A copy of a module shares the features, which may fill a disk.
        return self
