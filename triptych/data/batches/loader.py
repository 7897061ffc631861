"""Batch loader for tensors: one gather per batch, on the device of the images, resumable within an epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.data.batches.sampling import BalancedBatchSampler
from triptych.data.batches.triplets import ImageDataset, TripletDataset


@dataclass(frozen=True, eq=False)
class Batch:
    """Input of a training step; images are float in [0, 1]."""

    index: Tensor
    """(B,) indices from which all random numbers of the step are derived: positions in the data set, plus its length
    for each earlier round if an epoch has several."""
    anchor: Tensor
    """(B, C, H, W) images."""
    label: Tensor
    """(B,) classes."""
    positive: Tensor | None = None
    """(B, C, H, W) images of the same class, if triplets are drawn and not mined."""
    negative: Tensor | None = None
    """(B, C, H, W) images of other classes, likewise."""

    def to(self, device: torch.device) -> "Batch":
        """Copy tensors that are not on the device yet, asynchronously."""
        index, anchor, label = (part.to(device, non_blocking=True) for part in (self.index, self.anchor, self.label))
        if self.positive is None or self.negative is None:
            return Batch(index, anchor, label)
        positive, negative = (part.to(device, non_blocking=True) for part in (self.positive, self.negative))
        return Batch(index, anchor, label, positive, negative)


class BatchLoader:
    """One epoch of batches per iteration; the epoch is the one last passed to `sampler.set_epoch`.

    Gathering from tensors needs no worker processes. The state is the number of images that all processes together have
    processed, so that a run stopped in the middle of an epoch continues with the next image, with any number of
    processes (Lightning saves `state_dict`).
    """

    def __init__(self, dataset: ImageDataset | TripletDataset, sampler: BalancedBatchSampler) -> None:
        self.dataset = dataset
        # Lightning requires both names, and passes the epoch to `sampler`.
        self.sampler = self.batch_sampler = sampler
        self._handed_out = 0
        self._done = self._skip = 0

    def __len__(self) -> int:
        """Number of batches in a whole epoch, whether or not some are skipped."""
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
        """Return the progress in the epoch; a finished epoch counts as not started."""
        return {"images": self.sampler.images_after(self._done, self._handed_out)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next iteration at the saved position."""
        if "images" in state:
            self._skip = state["images"]
        else:
            # Saved by an earlier version: the number of batches, for the same number of processes.
            self._skip = self.sampler.images_after(0, state["handed_out"])
