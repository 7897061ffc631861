"""Batches on tensors: one gather each, on the device where the images live, resumable inside an epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.data.batches.sampling import BalancedBatchSampler
from triptych.data.batches.triplets import ImageDataset, TripletDataset


@dataclass(frozen=True, eq=False)
class Batch:
    """What a training step receives; images are float in [0, 1]."""

    index: Tensor
    """(B,) what every random number of the step is derived from: positions in the data set, and where an epoch has
    several rounds, its length more for each round before."""
    anchor: Tensor
    """(B, C, H, W) images."""
    label: Tensor
    """(B,) classes."""
    positive: Tensor | None = None
    """(B, C, H, W) images of the same class, where triplets are drawn and not mined."""
    negative: Tensor | None = None
    """(B, C, H, W) images of other classes, likewise."""

    def to(self, device: torch.device) -> "Batch":
        """Copy what is not on the device yet, without waiting for the copy."""
        index, anchor, label = (part.to(device, non_blocking=True) for part in (self.index, self.anchor, self.label))
        if self.positive is None or self.negative is None:
            return Batch(index, anchor, label)
        positive, negative = (part.to(device, non_blocking=True) for part in (self.positive, self.negative))
        return Batch(index, anchor, label, positive, negative)


class BatchLoader:
    """One epoch of batches per iteration; the epoch is the one last passed to `sampler.set_epoch`.

    Gathering from tensors needs no worker processes. The state is the number of images that all processes together
    have had, so that a run stopped in the middle of an epoch continues with the next image, with any number of
    processes (Lightning saves `state_dict`).
    """

    def __init__(self, dataset: ImageDataset | TripletDataset, sampler: BalancedBatchSampler) -> None:
        self.dataset = dataset
        # Lightning looks for both names, and passes the epoch to `sampler`.
        self.sampler = self.batch_sampler = sampler
        self._handed_out = 0
        self._done = self._skip = 0

    def __len__(self) -> int:
        """Batches in a whole epoch, whether or not some of them are skipped."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        self._done, self._skip, self._handed_out = self._skip, 0, 0
        self.dataset.set_epoch(self.sampler.epoch)
        for indices, rounds in self.sampler.visits(self._done):
            self._handed_out += 1
            index = indices + len(self.dataset) * rounds
            if isinstance(self.dataset, TripletDataset):
                anchor, positive, negative, label = self.dataset.__getitems__(indices, rounds)
                yield Batch(index, anchor, label, positive, negative)
            else:
                anchor, label = self.dataset.__getitems__(indices, rounds)
                yield Batch(index, anchor, label)

    def state_dict(self) -> dict[str, int]:
        """Return how far the epoch is; a finished epoch counts as one not begun."""
        return {"images": self.sampler.images_after(self._done, self._handed_out)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Make the next iteration begin where the saved one stood."""
        if "images" in state:
            self._skip = state["images"]
        else:
            # Of an earlier version: batches of as many processes as now.
            self._skip = self.sampler.images_after(0, state["handed_out"])
