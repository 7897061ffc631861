"""Folders of few images, as people have them, for the benchmark of few images: PNG files in a folder for each class."""

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image, ImageDraw, ImageFont

from triptych.data.builder import load_dataset
from triptych.data.images import Split

FONTS, GLYPHS = 50, 20
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SIDES = range(64, 113)
"""Side of a glyph's image in pixels."""
TEST_IMAGES = 2000
"""Test images at most, drawn from those of the data set."""


class Writer(Protocol):
    """Writes a set of images."""

    def __call__(self, folder: Path, *, seed: int, tuning: bool) -> None:
        """Write images, drawn from the seed, into a folder.

        Args:
            folder: The output folder, which must not exist.
            seed: Seed of the choice of images.
            tuning: Whether to use other images than those of the final results.
        """


def glyphs(folder: Path, *, seed: int, tuning: bool) -> None:
    """Draw 20 characters in each of 50 installed fonts, which are the classes: dark on light, of varied sizes."""
    draw = random.Random(2 * seed + tuning)
    for number, font in enumerate(draw.sample(distinct_fonts(), FONTS)):
        target = folder / f"{number:02}-{font.stem}"
        target.mkdir(parents=True)
        for character in draw.sample(CHARACTERS, GLYPHS):
            side = draw.choice(SIDES)
            image = Image.new("L", (side, side), draw.randint(225, 255))
            middle = [side / 2 + draw.uniform(-0.06, 0.06) * side for _ in range(2)]
            ImageDraw.Draw(image).text(
                (middle[0], middle[1]),
                character,
                font=ImageFont.truetype(font, round(side * draw.uniform(0.6, 0.8))),
                fill=draw.randint(0, 60),
                anchor="mm",
            )
            image.save(target / f"{ord(character)}.png")


def distinct_fonts() -> list[Path]:
    """List the installed outline fonts with Latin letters, one of those that draw the same letters.

    Raises:
        RuntimeError: There are fewer than `FONTS`.
    """
    command = ["fc-list", ":lang=en:scalable=true", "--format", "%{file}\n"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    found: dict[bytes, Path] = {}
    for name in sorted(name for name in set(listed) if name.endswith((".ttf", ".otf"))):
        image = Image.new("L", (200, 60), 255)
        ImageDraw.Draw(image).text((4, 4), "RagQ&2", font=ImageFont.truetype(name, 40), fill=0)
        found.setdefault(image.tobytes(), Path(name))
    if len(found) < FONTS:
        raise RuntimeError(
            f"expected {FONTS} installed fonts with Latin letters, but found {len(found)}; install more, such as "
            "Debian's fonts-dejavu, fonts-liberation, fonts-freefont-ttf, fonts-lato, fonts-noto-core"
        )
    return sorted(found.values())


def known(name: str, *, per_class: int) -> Writer:
    """Return a writer of `per_class` training images of each class of a known data set, and test images.

    For tuning, the test images are other training images.
    """

    def write(folder: Path, *, seed: int, tuning: bool) -> None:
        data = load_dataset(name)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(data.train), generator=generator)
        labels = data.train.labels[order]
        chosen = [order[labels == label] for label in range(len(data.classes))]
        rest = torch.cat([members[per_class:] for members in chosen])
        train = torch.cat([members[:per_class] for members in chosen])
        test = data.train.select(rest) if tuning else data.test
        some = torch.randperm(len(test), generator=generator)[:TEST_IMAGES]
        _write(folder / "train", data.train.select(train), data.classes)
        _write(folder / "test", test.select(some), data.classes)

    return write


def _write(folder: Path, split: Split, classes: Sequence[str]) -> None:
    """Write images as PNG files, each in the folder of its class."""
    for number, (pixels, label) in enumerate(zip(split.images, split.labels.tolist(), strict=True)):
        path = folder / classes[label].replace("/", "-") / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).squeeze(-1).numpy()).save(path)


SETS: dict[str, Writer] = {
    "glyphs": glyphs,
    "cifar10-100": known("cifar10", per_class=10),
    "cifar10-1000": known("cifar10", per_class=100),
    "fashionmnist-1000": known("fashionmnist", per_class=100),
    "digits-100": known("digits", per_class=10),
}
"""Writers of the image sets, by name."""
