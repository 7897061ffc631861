"""Images that come twice, exactly or nearly: leakage where one is in the test set, a contradiction where labels differ.

Letters: N images, P numbers in an image.
"""

import hashlib
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.data.pixels.mapped import Images, parts
from triptych.inspection.thumbnails import thumbnails

CANDIDATES = 8
"""Nearest neighbours whose pixels are compared."""

NEAR = 0.985
"""Correlation of the pixels, after a small blur, below which two images are not the same picture."""

UNUSUAL = 0.3
"""How far two images of one picture are, at most, in units of what is usual between neighbours there."""

COMPARED_AT_ONCE = 4096

LONGEST = 48
"""Pixels to a side that are compared: larger images are shrunk."""


class Duplicates(NamedTuple):
    """Pairs of images, the most alike first."""

    first: Tensor
    """(M,) rows of the images."""
    second: Tensor
    """(M,) rows of the images, each greater than its first."""
    similarity: Tensor
    """(M,) correlation of the pixels, 1 for exact copies."""
    exact: Tensor
    """(M,) whether all pixels are equal."""


def find_duplicates(images: Images, neighbours: Tensor | None) -> Duplicates:
    """Find the pairs: exact copies by their bytes, near ones among neighbours, confirmed on their pixels.

    Near are images whose pixels correlate by 0.985 or more after a small blur, which a change of brightness or
    contrast, a little noise, or storing as JPEG again leaves alike; and which are less than 0.3 times as far from each
    other (1 - correlation) as either is, in the median, from its neighbours: plain strokes are alike without being
    copies.
    The cost grows linearly with the images. Of a picture that comes more than twice, each further exact copy is paired
    with the first.

    Args:
        images: (N, C, H, W) uint8.
        neighbours: (N, k) each image's nearest others, in whatever space tells pictures apart; None finds exact copies
            alone.
    """
    exact = _exact_pairs(images)
    near = {} if neighbours is None else _near_pairs(appearances(images), neighbours[:, :CANDIDATES])
    found = {**near, **dict.fromkeys(exact, 1.0)}
    pairs = sorted(found, key=lambda pair: (pair not in exact, -found[pair], pair))
    rows = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    return Duplicates(
        first=rows[:, 0],
        second=rows[:, 1],
        similarity=torch.tensor([found[pair] for pair in pairs], dtype=torch.float64),
        exact=torch.tensor([pair in exact for pair in pairs], dtype=torch.bool),
    )


def appearances(images: Images) -> Tensor:
    """Return the images' pixels, blurred, centred and of unit length, (N, P): their products are correlations.

    An image of one grey has no look: its row is zero, and only an exact copy is its duplicate.
    """
    looks = []
    for part in parts(images, COMPARED_AT_ONCE):
        pixels = thumbnails(part, longest=LONGEST).float() / 255
        if min(pixels.shape[2:]) >= 16:
            pixels = F.avg_pool2d(pixels, kernel_size=2)
        pixels = pixels.flatten(1)
        centred = pixels - pixels.mean(dim=1, keepdim=True)
        length = centred.norm(dim=1, keepdim=True)
        looks.append(torch.where(length > 1e-3, centred / length.clamp(min=1e-3), 0.0))
    return torch.cat(looks)


def _exact_pairs(images: Images) -> set[tuple[int, int]]:
    first: dict[bytes, int] = {}
    pairs = set()
    for row, image in enumerate(images):
        original = first.setdefault(hashlib.blake2b(image.cpu().numpy().tobytes(), digest_size=16).digest(), row)
        if original != row:
            pairs.add((original, row))
    return pairs


def _near_pairs(looks: Tensor, neighbours: Tensor) -> dict[tuple[int, int], float]:
    """Map pairs of neighbours that look alike to their correlation."""
    parts = zip(torch.split(looks, COMPARED_AT_ONCE), torch.split(neighbours, COMPARED_AT_ONCE), strict=True)
    far = torch.cat([1 - torch.einsum("np,nkp->nk", own, looks[others]) for own, others in parts])
    usual = far.median(dim=1).values
    is_near = (far <= 1 - NEAR) & (far <= UNUSUAL * torch.minimum(usual[:, None], usual[neighbours]))
    found = {}
    for row, place in is_near.nonzero().tolist():
        other = int(neighbours[row, place])
        found[min(row, other), max(row, other)] = 1 - max(float(far[row, place]), 0.0)
    return found
