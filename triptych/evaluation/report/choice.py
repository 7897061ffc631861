"""Which images a report shows where nobody is to choose: a fixed draw, the same every time."""

import torch
from torch import Tensor

from triptych.data.draws import Draws


def drawn_images(labels: Tensor, *, count: int) -> Tensor:
    """Draw up to `count` images of a split with labels (N,): their positions, of different classes as far as possible.

    Example:
        >>> drawn = drawn_images(torch.tensor([0, 0, 0, 1]), count=2)
        >>> sorted(torch.tensor([0, 0, 0, 1])[drawn].tolist())
        [0, 1]
    """
    order = Draws(seed=0, epoch=0, index=torch.arange(len(labels))).uniform("report", 1)[:, 0].argsort(stable=True)
    seen: dict[int, int] = {}
    rounds = []
    for label in labels[order].tolist():
        rounds.append(seen.get(label, 0))
        seen[label] = rounds[-1] + 1
    # First the first image of every class, in the order of the draw, then the second of each, and so on.
    return order[torch.tensor(rounds, dtype=torch.int64).argsort(stable=True)][:count]
