"""Class names from folders and tables, and the checks and the order of classes; for all listings."""

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
    """Put the classes in order, without those that no image has, and label the images.

    Args:
        names: The class names, each once.
        codes: The images' positions in `names`, (N,).
        split: The images' positions in `SPLITS`, (N,).
        origin: Begins a complaint.
        order: All class names in their order, where there is one; otherwise it is the natural one, or, if all are
            numbers, that of their size.

    Returns:
        Labels, (N,) int64, and class names.

    Raises:
        DataError: There are fewer than two classes, or there is one whose images are all outside training.
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
    """Take a class without training images for the one that has some and whose name is nearly the same.

    Names are nearly the same if they differ in case, in spaces, in hyphens and underscores between words, or in
    characters that are not shown.

    Args:
        names: The class names, each once.
        codes: The images' positions in `names`, (N,).
        split: The images' positions in `SPLITS`, (N,).

    Returns:
        The codes after that, and notes: about what was merged, and about classes of such names that all have training
        images, which stay apart.
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
    r"""Return what names that differ in case, spaces or invisible characters alone have in common.

    Example:
        >>> _spelling("Sea_Lion ") == _spelling("sea  lion\u200b"), _spelling("-1") == _spelling("1")
        (True, False)
    """
    shown = "".join(letter for letter in composed(name).casefold() if unicodedata.category(letter) != "Cf")
    return re.sub(r"(?<=[^\W_])[\s_-]+(?=[^\W_])", " ", shown.strip())


def check_groups(groups: Sequence[str | None] | None, split: np.ndarray, *, origin: str) -> None:
    """Hold each group to one split.

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
    """Number different values in the order in which they come.

    Returns:
        The values as `text` writes them, each once, and the position among them of each value, (N,): -1 where there is
        none, or `text` gives nothing.
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
    """Write a value so that 1, 1.0, "1" and "1.0" are the same; what is not a number is nothing.

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
    """Make a function that gives the name of the class with a number; other numbers, such as -1, have none."""
    return lambda value: composed(names[value]) if isinstance(value, int) and 0 <= value < len(names) else ""
