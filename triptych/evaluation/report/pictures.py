"""The figures of a report, each drawn once: the page shows them, and TensorBoard shows the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from triptych.data.draws import Draws
from triptych.visualisation import figure_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure with its words.

    Attributes:
        name: In TensorBoard, and in links to it on the page.
        title: A heading.
        caption: What it shows, and what to look for.
        alt: The same for a person who cannot see it.
        png: The file.
        files: The files of the images in it, a line for each row of the figure.
    """

    name: str
    title: str
    caption: str
    alt: str
    png: bytes
    files: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as the head of every PNG states them."""
        return int.from_bytes(self.png[16:20]), int.from_bytes(self.png[20:24])


def picture(name: str, figure: "Figure", *, title: str, caption: str, alt: str, files: Sequence[str] = ()) -> Picture:
    """Make a picture of a figure."""
    return Picture(name, title, caption, alt, figure_png(figure), tuple(files))


def drawn_images(labels: Tensor, *, count: int) -> Tensor:
    """Draw up to `count` images of a split with labels (N,): their positions, of different classes as far as possible.

    The draw is the same every time.

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
