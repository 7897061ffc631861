"""Class names from folders and tables: order, checks and merging; for all listings."""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from triptych.data.listing import SPLITS, TRAIN, listed
from triptych.data.own.names import composed, natural_key
from triptych.errors import DataError


def number_classes(
    names: Sequence[str], codes: np.ndarray, split: np.ndarray, *, origin: str, order: Sequence[str] = ()
) -> tuple[Tensor, tuple[str, ...]]:
    """Sort the classes, without those that have no images, and label the images.

    Args:
        names: The class names, each once.
        codes: The images' positions in `names`, (N,).
        split: The images' positions in `SPLITS`, (N,).
        origin: Source of the images, the start of error messages.
        order: All class names in their given order, if any; otherwise they are sorted in natural order, or by value if
            all are numbers.

    Returns:
        Labels, (N,) int64, and class names.

    Raises:
        DataError: There are fewer than two classes, or a class has no training images.
    """
    counts = np.stack([np.bincount(codes[split == part], minlength=len(names)) for part in range(len(SPLITS))])
    unknown = [name for name, (train, *others) in zip(names, counts.T, strict=True) if not train and any(others)]
    if unknown and counts[TRAIN].any():
        raise DataError(
            f"{origin}: expected training images of every class, but received none of "
            f"{listed(sorted(unknown, key=natural_key))}, of which there are validation or test images. Add some, or "
            "take those away."
        )
    used = [code for code in range(len(names)) if counts[TRAIN, code]]
    if len(used) < 2:
        received = f"images of one ({names[used[0]]})" if used else "none"
        raise DataError(f"{origin}: expected training images of at least two classes, but received {received}.")
    if order:
        used.sort(key=lambda code: order.index(names[code]))
    else:
        numeric = all(re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", names[code]) for code in used)
        used.sort(key=lambda code: (float(names[code]) if numeric else 0.0, natural_key(names[code])))
    label = np.zeros(len(names), np.int64)
    label[used] = np.arange(len(used))
    return torch.from_numpy(label[codes]), tuple(names[code] for code in used)


def one_spelling(names: Sequence[str], codes: np.ndarray, split: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Merge a class without training images with the class that has some and nearly the same name.

    Names are nearly the same if they differ only in case, spaces, hyphens and underscores between words, or invisible
    characters.

    Args:
        names: The class names, each once.
        codes: The images' positions in `names`, (N,).
        split: The images' positions in `SPLITS`, (N,).

    Returns:
        The new codes, and notes: about merged classes, and about classes with nearly the same names that all have
            training
        images, which stay separate.
    """
    trained = set(codes[split == TRAIN].tolist())
    alike: dict[str, list[int]] = {}
    for code, name in enumerate(names):
        alike.setdefault(_spelling(name), []).append(code)
    notes = []
    for group in (group for group in alike.values() if len(group) > 1):
        kept, others = [code for code in group if code in trained], [code for code in group if code not in trained]
        if len(kept) == 1:
            codes = np.where(np.isin(codes, others), kept[0], codes)
            notes.append(
                f"Images of {listed(names[code] for code in others)} are assigned to the class {names[kept[0]]}, whose "
                "name differs in case, spaces or hyphens alone."
            )
        elif kept:
            notes.append(
                f"The classes {listed(names[code] for code in kept)} differ in case, spaces or hyphens alone; if they "
                "are one, give them one name."
            )
    return codes, notes


def _spelling(name: str) -> str:
    r"""Return the common form of names that differ only in case, spaces or invisible characters.

    Example:
        >>> _spelling("Sea_Lion ") == _spelling("sea  lion\u200b"), _spelling("-1") == _spelling("1")
        (True, False)
    """
    shown = "".join(letter for letter in composed(name).casefold() if unicodedata.category(letter) != "Cf")
    return re.sub(r"(?<=[^\W_])[\s_-]+(?=[^\W_])", " ", shown.strip())


def check_groups(groups: Sequence[str | None] | None, split: np.ndarray, *, origin: str) -> None:
    """Check that each group is in one split.

    Raises:
        DataError: A group is spread over several.
    """
    if groups is None:
        return
    first: dict[str, int] = {}
    spread = {
        group: part
        for group, part in zip(groups, split.tolist(), strict=True)
        if group is not None and first.setdefault(group, part) != part
    }
    if spread:
        group, part = next(iter(spread.items()))
        raise DataError(
            f"{origin}: expected all images of a group in one split, but received {len(spread):,} groups in several: "
            f"{group}, for one, in {SPLITS[first[group]]} and {SPLITS[part]}. Put each into one."
        )


def number_values(values: Iterable[object], text: Callable[[object], str]) -> tuple[list[str], np.ndarray]:
    """Number distinct values in order of occurrence.

    Returns:
        The distinct values, formatted by `text`, and the position of each value among them, (N,): -1 if there is none,
        or if `text` returns an empty string.
    """
    numbers: dict[str, int] = {"": -1}
    known: dict[object, int] = {None: -1}
    codes = []
    for value in values:
        if value not in known:
            known[value] = numbers.setdefault(text(value), len(numbers) - 1)
        codes.append(known[value])
    return list(numbers)[1:], np.array(codes, np.int64)


def plain_text(value: object) -> str:
    """Format a value so that 1, 1.0, "1" and "1.0" are the same; NaN gives an empty string.

    Example:
        >>> [plain_text(value) for value in (1.0, " 1", "1.50", "cat ", float("nan"))]
        ['1', '1', '1.50', 'cat', '']
    """
    if isinstance(value, float) and math.isnan(value):
        return ""
    text = str(value).strip()
    whole = re.fullmatch(r"([+-]?[0-9]+)\.0*", text)
    return whole[1] if whole else composed(text)


def class_name(names: Sequence[str]) -> Callable[[object], str]:
    """Create a function that returns the name of a class by its number; other numbers, such as -1, have none."""
    return lambda value: composed(names[value]) if isinstance(value, int) and 0 <= value < len(names) else ""
