"""Reads the pickles of CIFAR-10's batches without running code: NumPy's functions in them are replaced by stand-ins.

A pickle can name any function and have it called. Only the names with which NumPy 1 and 2 describe an array of bytes
are accepted here, and none of them leads to NumPy itself: the arrays are built by `numpy.frombuffer`.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from triptych.data.invalid import REMEDY, invalid
from triptych.errors import DataError

_NUMBERS = ("u1", "i1", "b1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
"""The codes of the types of numbers."""


class _NotDataError(Exception):
    """The pickle holds something else than data."""


def load_arrays(content: bytes, *, path: Path) -> object:
    """Read arrays of numbers, numbers, texts and plain containers of them.

    Args:
        content: The bytes of the pickle, of Python 2 or 3; texts of Python 2 become bytes.
        path: The file that an error names.

    Returns:
        The value; of a dictionary, the values that are arrays are NumPy's.

    Raises:
        DataError: The pickle is damaged, or holds anything else.
    """
    if not content:
        raise invalid(path, "a pickle of arrays", "an empty file")
    try:
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except _NotDataError as error:
        raise DataError(
            f"{path}: expected a pickle that holds arrays only, but it names {error}, which could run code; nothing of "
            f"it was run. {REMEDY}"
        ) from error
    except Exception as error:  # damaged bytes lead to instructions that do not fit together
        reason = str(error)[:200] or type(error).__name__
        raise invalid(path, "a pickle of arrays", f"a damaged one ({reason})") from error
    if not isinstance(value, dict):
        return value
    return {key: item.array if isinstance(item, _Array) else item for key, item in value.items()}


class _Unpickler(pickle.Unpickler):
    """Python's, with stand-ins for all that a pickle may name."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        known = module.replace("numpy._core", "numpy.core"), name
        if known not in _STAND_INS:
            raise _NotDataError(f"{module}.{name}"[:100])
        return _STAND_INS[known]


class _Type:
    """The type of an array."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        self.code = code.decode() if isinstance(code, bytes) else code

    def __setstate__(self, _: object) -> None:
        """Ignore the byte order and all else that numbers of one machine do not need."""


class _Array:
    """An array, which the pickle makes first and fills afterwards."""

    array: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, is_fortran, data = state
        self.array = _from_buffer(data, kind, shape, "F" if is_fortran else "C")


def _from_buffer(data: bytes, kind: _Type, shape: tuple[int, ...], order: str) -> np.ndarray:
    if not isinstance(kind, _Type) or kind.code not in _NUMBERS:
        raise _NotDataError("an array of something else than numbers")
    return np.frombuffer(data, kind.code).reshape(shape, order="F" if order == "F" else "C")


def _latin1(text: str, encoding: str) -> bytes:
    """Return bytes, which the old protocols of Python 3 write as text."""
    if encoding != "latin1":
        raise ValueError(f"text encoded as {encoding[:20]!r}")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _latin1,
}
