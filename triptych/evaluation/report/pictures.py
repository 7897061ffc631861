"""The pictures of a report, each drawn once: the page shows them, and TensorBoard shows the same."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.visualisation import figure_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure, and what a reader needs beside it.

    Attributes:
        name: In TensorBoard, and in links to it on the page.
        title: A heading.
        caption: What it shows, and what to look for.
        alt: What a person who cannot see it should know.
        png: The file.
    """

    name: str
    title: str
    caption: str
    alt: str
    png: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as the head of every PNG states them."""
        return int.from_bytes(self.png[16:20]), int.from_bytes(self.png[20:24])


def picture(name: str, figure: "Figure", *, title: str, caption: str, alt: str) -> Picture:
    """Make a picture of a figure."""
    return Picture(name, title, caption, alt, figure_png(figure))
