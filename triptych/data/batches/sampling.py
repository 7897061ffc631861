"""Batch samplers: every image once per epoch, divided evenly among processes."""

from collections.abc import Iterator
from itertools import accumulate

import torch
from torch import Tensor
from torch.utils.data import Sampler

from triptych.data.draws import mix


class BalancedBatchSampler(Sampler[Tensor]):
    """One process's batches of indices, for `DataLoader(batch_sampler=...)` over data sets with `__getitems__`.

    The epoch's order is divided into ceil(size / (batch_size * world_size)) global batches whose sizes differ by at
    most one, and each of these into one contiguous share per process, again to within one. All processes together
    process every image exactly once, there is no small last batch, and at the same batch_size * world_size the global
    batches do not depend on the number of processes.

    Args:
        size: Number of images.
        batch_size: Maximum number of images in one process's batch.
        shuffle: Whether to use a new order every epoch, instead of 0, 1, 2, ...
        seed: Chooses the orders.
        rank: Which process this is, from 0.
        world_size: Number of processes.

    Raises:
        ValueError: There are too few images for every process to have one in each batch.

    Example:
        >>> sampler = BalancedBatchSampler(10, batch_size=4, shuffle=False)
        >>> [batch.tolist() for batch in sampler]
        [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    """

    def __init__(
        self, size: int, *, batch_size: int, shuffle: bool, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        self.size = size
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.steps = -(-size // (batch_size * world_size))
        self.epoch = 0
        if size < max(1, self.steps * world_size):
            raise ValueError(
                f"every process needs an image in each batch, but {size} images in {self.steps} batches are too few "
                f"for {world_size} processes; use fewer processes or a larger batch_size"
            )

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch's order, before its first batch. Lightning calls this too."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of batches in an epoch, the same for every process."""
        return self.steps

    def __iter__(self) -> Iterator[Tensor]:
        for indices, _ in self.visits():
            yield indices

    def visits(self, done: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the same batches with each image's round of the epoch: two tensors (B,) int64.

        An image occurs at most once per round. Here an epoch is one round, number 0.

        Args:
            done: Number of images of the epoch that all processes together have already processed; they are skipped.
        """
        for indices, rounds in self._batches_after(done):
            start, end = share(len(indices), part=self.rank, parts=self.world_size)
            yield indices[start:end], rounds[start:end]

    def images_after(self, done: int, batches: int) -> int:
        """Return the number of images processed by all processes after `batches` more batches; 0 at the epoch's end."""
        sizes = [len(indices) for indices, _ in self._batches_after(done)]
        return 0 if batches >= len(sizes) else self._total() - sum(sizes[batches:])

    def _total(self) -> int:
        return sum(len(indices) for indices, _ in self._global_batches())

    def steps_after(self, done: int) -> int:
        """Return the number of remaining batches of the epoch after `done` images."""
        return sum(1 for _ in self._batches_after(done))

    def _batches_after(self, done: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the remaining global batches of an epoch: unchanged if one begins there, otherwise divided again."""
        batches = list(self._global_batches())
        ends = [0, *accumulate(len(indices) for indices, _ in batches)]
        if done in ends:
            yield from batches[ends.index(done) :]
            return
        # The epoch was started with another number of processes. Every process needs an image of the last batch.
        first = max(0, min(done, ends[-1] - self.world_size))
        indices, rounds = (torch.cat(parts)[first:] for parts in zip(*batches, strict=True))
        parts = -(-len(indices) // (self.batch_size * self.world_size))
        for part in range(parts):
            start, end = share(len(indices), part=part, parts=parts)
            yield indices[start:end], rounds[start:end]

    def _global_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the visits of all processes together."""
        indices, rounds = self._order()
        for step in range(self.steps):
            start, end = share(self.size, part=step, parts=self.steps)
            yield indices[start:end], rounds[start:end]

    def _order(self) -> tuple[Tensor, Tensor]:
        order = self._shuffled()
        return order, torch.zeros_like(order)

    def _shuffled(self) -> Tensor:
        """Return the order of the epoch, `size` places."""
        if not self.shuffle:
            return torch.arange(self.size)
        generator = torch.Generator().manual_seed(mix("order", self.seed, self.epoch))
        return torch.randperm(self.size, generator=generator)


class FixedBatchSampler(BalancedBatchSampler):
    """Batches of one seeded permutation, the same in every epoch, for evaluation.

    In file order, images of own data sets are sorted by class, and a batch would contain no triplets.
    """

    def __init__(self, size: int, *, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(size, batch_size=batch_size, shuffle=True, seed=seed, rank=rank, world_size=world_size)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the order is fixed."""


def share(size: int, *, part: int, parts: int) -> tuple[int, int]:
    """Return start and end of one of `parts` contiguous parts of `size` items, as equal as possible."""
    return size * part // parts, size * (part + 1) // parts
