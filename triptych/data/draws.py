"""Random numbers as a pure function of seed, epoch, image and purpose, for triplets and augmentation."""

import hashlib
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor


def mix(*parts: object) -> int:
    """Hash numbers, strings and tuples of them to 64 bits (BLAKE2b), as a signed integer.

    Args:
        parts: The values to hash; values with the same `repr` give the same bits, on every machine.
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


@dataclass(frozen=True, eq=False)
class Draws:
    """Random numbers that depend on the image, not on the order in which they are drawn.

    With the same seed and epoch, an image gets the same numbers whatever its batch, the number of processes, the
    device, or whether the run was resumed. There is no state: repeated calls return the same numbers, and different
    names return independent ones. Every image has its own SplitMix64 stream (Steele, Lea and Flood, "Fast splittable
    pseudorandom number generators", OOPSLA 2014), seeded by output number `index` of a stream that is determined by
    seed, epoch, family and name; the columns are its outputs.

    Args:
        seed: The run's seed.
        epoch: The epoch, from 0.
        index: (B,) int64, the images' positions in the data set; the results are on its device.
        family: The names of the forks that led to this object.

    Example:
        >>> draws = Draws(seed=0, epoch=3, index=torch.tensor([5, 8]))
        >>> alone = Draws(seed=0, epoch=3, index=torch.tensor([8]))
        >>> bool((draws.uniform("angle", 2)[1] == alone.uniform("angle", 2)[0]).all())
        True
    """

    seed: int
    epoch: int
    index: Tensor
    family: tuple[str, ...] = ()

    def fork(self, name: str) -> "Draws":
        """Return an independent family of random numbers for the same images, such as one per view of a triplet."""
        return replace(self, family=(*self.family, name))

    def uniform(self, name: str, columns: int) -> Tensor:
        """Return uniform numbers in [0, 1): (B, columns) float32, multiples of 2^-24."""
        return _top_bits(self._bits(name, columns), 24).float() / 2**24

    def normal(self, name: str, columns: int) -> Tensor:
        """Return standard normal numbers by the inverse distribution function: (B, columns) float32, within ±5.3."""
        # 23 bits and a half step: the argument of erfinv is exact in float32 and never reaches ±1, so all is finite.
        odd = 2 * _top_bits(self._bits(name, columns), 23) + 1 - 2**23
        return torch.erfinv(odd.float() / 2**23) * math.sqrt(2)

    def integers(self, name: str, high: Tensor | int) -> Tensor:
        """Return uniform integers in [0, high): (B,) int64.

        Args:
            name: Their purpose.
            high: Exclusive bound, at least 1: one for all, or (B,) int64. The bias of the remainder is high / 2^63.
        """
        return _top_bits(self._bits(name, 1)[:, 0], 63) % high

    def _bits(self, name: str, columns: int) -> Tensor:
        """Return 64 random bits for every image and column: (B, columns) int64."""
        key = mix(self.seed, self.epoch, self.family, name)
        streams = _splitmix64(torch.full_like(self.index, key), self.index)
        return _splitmix64(streams[:, None], torch.arange(columns, device=self.index.device))


def _splitmix64(seed: Tensor, position: Tensor) -> Tensor:
    """Return output number `position`, from 0, of the SplitMix64 generator with `seed`; both int64, broadcast."""
    state = seed + (position + 1) * _GOLDEN_GAMMA
    state = (state ^ _shift_right(state, 30)) * _FIRST_MULTIPLIER
    state = (state ^ _shift_right(state, 27)) * _SECOND_MULTIPLIER
    return state ^ _shift_right(state, 31)


def _shift_right(bits: Tensor, distance: int) -> Tensor:
    """Shift right as unsigned: PyTorch's shift of int64 extends the sign."""
    return (bits >> distance) & ((1 << (64 - distance)) - 1)


def _top_bits(bits: Tensor, count: int) -> Tensor:
    return _shift_right(bits, 64 - count)


# The published constants minus 2^64: int64 arithmetic wraps, so the products have the same 64 bits.
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_FIRST_MULTIPLIER = 0xBF58476D1CE4E5B9 - 2**64
_SECOND_MULTIPLIER = 0x94D049BB133111EB - 2**64
