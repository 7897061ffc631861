"""Finds exact and near-duplicates of images: leakage between splits, or contradictory labels.

Letters: N images, P numbers of an image, M pairs.
"""

import hashlib
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.data.pixels.mapped import Images, parts
from triptych.inspection.cells import near_neighbours
from triptych.inspection.thumbnails import thumbnails

CANDIDATES = 8
"""Nearest neighbours whose pixels are compared."""

NEAR = 0.985
"""Smallest correlation of the slightly blurred pixels of near-duplicates."""

UNUSUAL = 0.3
"""Largest distance of near-duplicates, relative to the median distance of the neighbours of either."""

COARSE_SIDE = 8
COARSELY_NEAR = 0.9
"""Correlation of images of 8x8 pixels below which their full pixels are not compared."""

LONGEST = 48
"""Pixels to a side that are compared: larger images are reduced."""

AT_ONCE = 1024


class Duplicates(NamedTuple):
    """Pairs of images, exact ones first, then by similarity."""

    first: Tensor
    """(M,) rows of the images."""
    second: Tensor
    """(M,) rows of the images, each greater than its first."""
    similarity: Tensor
    """(M,) correlation of the pixels, 1 for exact duplicates."""
    exact: Tensor
    """(M,) whether all pixels are equal."""


def find_duplicates(images: Images, neighbours: Tensor | None = None) -> Duplicates:
    """Find exact duplicates by their bytes, and near-duplicates among neighbours by their pixels.

    Near-duplicates correlate by 0.985 or more after a slight blur, which tolerates changes of brightness and contrast,
    a little noise and another JPEG compression. Their distance (1 - correlation) is also less than 0.3 times the median
    distance of either image from its neighbours: simple strokes resemble each other without being duplicates.
    Time grows almost linearly with the images. Each further exact duplicate of an image is paired with the first.

    Args:
        images: (N, C, H, W) uint8.
        neighbours: (N, k) nearest other images of each, in any embedding that distinguishes images; None: those whose
            reduced pixels correlate most.
    """
    originals = _originals(images)
    exact = {(original, row) for row, original in enumerate(originals.tolist()) if row != original}
    distinct = (originals == torch.arange(len(originals))).nonzero()[:, 0]
    near = _near_pairs(images, distinct, None if neighbours is None else originals[neighbours[distinct]])
    found = {**near, **dict.fromkeys(exact, 1.0)}
    pairs = sorted(found, key=lambda pair: (pair not in exact, -found[pair], pair))
    rows = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    return Duplicates(
        first=rows[:, 0],
        second=rows[:, 1],
        similarity=torch.tensor([found[pair] for pair in pairs], dtype=torch.float64),
        exact=torch.tensor([pair in exact for pair in pairs], dtype=torch.bool),
    )


def _originals(images: Images) -> Tensor:
    """Map each image to the first with the same pixels, (N,)."""
    first: dict[bytes, int] = {}
    rows = (row for part in parts(images, AT_ONCE) for row in part.cpu().contiguous().flatten(1).numpy())
    return torch.tensor(
        [first.setdefault(hashlib.blake2b(row, digest_size=16).digest(), place) for place, row in enumerate(rows)]
    )


def _near_pairs(images: Images, distinct: Tensor, neighbours: Tensor | None) -> dict[tuple[int, int], float]:
    """Map pairs of near-duplicates among the `distinct` images to their correlation; `neighbours` are theirs."""
    if len(distinct) < 2:
        return {}
    size = [min(side, COARSE_SIDE) for side in images.shape[2:]]
    reduced = (F.interpolate(part.float() / 255, size=size, mode="area") for part in parts(images, AT_ONCE))
    coarse = torch.cat([_unit(part) for part in reduced])
    if neighbours is None:
        neighbours = distinct[near_neighbours(coarse[distinct], k=min(CANDIDATES, len(distinct) - 1))]
    neighbours = neighbours[:, :CANDIDATES]
    is_close = torch.cat(
        [
            torch.einsum("np,nkp->nk", coarse[rows], coarse[others]) >= COARSELY_NEAR
            for rows, others in zip(torch.split(distinct, AT_ONCE), torch.split(neighbours, AT_ONCE), strict=True)
        ]
    )
    is_close &= neighbours != distinct[:, None]
    if not is_close.any():
        return {}
    # Exact distances are needed of the images in question, and of those that they resemble.
    place = torch.full((len(coarse),), -1)
    place[distinct] = torch.arange(len(distinct))
    needed = torch.unique(torch.cat([is_close.any(1).nonzero()[:, 0], place[neighbours[is_close]]]))
    far = torch.full(neighbours.shape, torch.inf)
    for chosen in torch.split(needed, AT_ONCE // CANDIDATES):
        own = appearances(images[distinct[chosen]])
        others = appearances(images[neighbours[chosen].flatten()]).view(*neighbours[chosen].shape, -1)
        far[chosen] = 1 - torch.einsum("np,nkp->nk", own, others)
    usual = far.median(dim=1).values
    is_near = is_close & (far <= 1 - NEAR)
    is_near &= far <= UNUSUAL * torch.minimum(usual[:, None], usual[place[neighbours]])
    found = {}
    for row, column in is_near.nonzero().tolist():
        pair = int(distinct[row]), int(neighbours[row, column])
        found[min(pair), max(pair)] = 1 - max(float(far[row, column]), 0.0)
    return found


def appearances(images: Tensor) -> Tensor:
    """Return the images' pixels, blurred, centred and of unit length, (N, P): their products are correlations.

    An image of one tone is a row of zeros, and only its exact duplicates are found.
    """
    pixels = thumbnails(images, longest=LONGEST).float() / 255
    return _unit(F.avg_pool2d(pixels, kernel_size=2) if min(pixels.shape[2:]) >= 16 else pixels)


def _unit(pixels: Tensor) -> Tensor:
    flat = pixels.flatten(1)
    centred = flat - flat.mean(dim=1, keepdim=True)
    length = centred.norm(dim=1, keepdim=True)
    return torch.where(length > 1e-3, centred / length.clamp(min=1e-3), 0.0)
