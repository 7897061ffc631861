"""Whether training images should be mirrored, decided by their class names and their pixels; for `triptych init`."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from triptych.data.listing import listed
from triptych.inspection.mirror import MirrorTest


class Flips(NamedTuple):
    """A decision.

    Attributes:
        helpful: Whether to mirror every other image.
        reason: Why, as the end of a sentence.
    """

    helpful: bool
    reason: str


def advise_flips(classes: Sequence[str], test: MirrorTest | None, *, drawn: bool) -> Flips:
    """Decide whether a mirror image is one more image of its class, or a sign of another meaning.

    Not mirrored are classes that are mirror images of each other, images drawn in strokes, images most of whose mirror
    images are taken for other classes, and those that have a left and a right and are named as characters are. Of a
    wrong answer the one is costlier than the other: without flips an image teaches a little less, with them a 2 and a 5
    become one.

    Args:
        classes: The class names.
        test: What `mirror_test` found, if it could ask.
        drawn: What `drawn_in_strokes` found.

    Example:
        >>> advise_flips(["cat", "dog"], MirrorTest(500, 0.51, 0.8, 0.7, ()), drawn=False)
        Flips(helpful=True, reason='images cannot be told from their mirror images')
    """
    named = are_characters(classes)
    against = []
    if test and test.swapped:
        pairs = listed((f"{classes[a]} and {classes[b]}" for a, b in test.swapped), shown=2)
        against.append(f"mirror images of each other: {pairs}")
    if drawn:
        against.append("strokes on a plain ground, as text is")
    if test and test.is_handed and test.loyal < 0.5:
        against.append(f"{1 - test.loyal:.0%} of the mirror images look like other classes")
    if named and (test is None or test.is_handed):
        against.append("left and right differ" if test else "too few images to try")
    if against:
        return Flips(False, ("classes are characters or numbers; " if named else "") + against[0])
    if test is None:
        return Flips(True, "nothing speaks against it; too few images to try")
    if not test.is_handed:
        return Flips(True, "images cannot be told from their mirror images")
    return Flips(True, f"{test.loyal:.0%} of the mirror images still look like their class")


def are_characters(classes: Sequence[str]) -> bool:
    """Tell whether names are single characters or whole numbers, behind what all of them begin with.

    Example:
        >>> [are_characters(names) for names in (["0", "10"], ["A", "b"], ["digit_3", "digit_x"], ["cat", "car"])]
        [True, True, True, False]
    """
    rests = [_LAST.findall(name)[0] for name in classes]
    prefixes = {name.removesuffix(rest) for name, rest in zip(classes, rests, strict=True)}
    return len(prefixes) == 1 and (all(map(str.isdecimal, rests)) or not prefixes.pop()[-1:].isalpha())


_LAST = re.compile(r"[0-9]+\Z|.\Z", re.DOTALL)
"""A number or a character at the end."""
