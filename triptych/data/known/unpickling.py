"""Opens pickles that hold arrays and plain containers, and refuses every other: for CIFAR-10's batches.

A pickle can name any function and have it called. This unpickler knows the few names that a NumPy array is made of and
resolves no other, so a file that names one is refused before anything in it runs.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np

from triptych.data.broken import REMEDY, broken
from triptych.errors import DataError


def load_arrays(content: bytes, *, path: Path) -> object:
    """Unpickle arrays, numbers, strings and plain containers of them.

    Args:
        content: The bytes of the pickle, of Python 2 or 3.
        path: The file that a complaint names.

    Raises:
        DataError: The pickle is damaged, or names anything but the parts of an array.
    """
    if not content:
        raise broken(path, "a pickle of arrays", "an empty file")
    unpickler = _ArrayUnpickler(io.BytesIO(content), encoding="latin1")
    try:
        return unpickler.load()
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        if unpickler.refused:
            raise DataError(
                f"{path}: expected a pickle that holds arrays only, but it names {unpickler.refused}, which could run "
                f"code; nothing of it was run. {REMEDY}"
            ) from error
        raise broken(path, "a pickle of arrays", f"a damaged one ({error or type(error).__name__})") from error


def _latin1(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode`, which Python 3 uses to write bytes in old protocols: always as latin1."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text encoded as {encoding!r}")
    return text.encode("latin1")


# An array itself says which functions rebuild it: their modules' names differ between NumPy 1 and 2.
_RECONSTRUCT: Callable[..., np.ndarray] = np.empty(0).__reduce__()[0]  # type: ignore[assignment]  # typed str | tuple
_FROM_BUFFER: Callable[..., np.ndarray] = np.empty(0).__reduce_ex__(5)[0]  # type: ignore[assignment]  # likewise

_ALLOWED: dict[tuple[str, str], object] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("_codecs", "encode"): _latin1,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Resolves the names in `_ALLOWED` and remembers the first other one."""

    refused = ""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            self.refused = f"{module}.{name}"
            raise pickle.UnpicklingError(f"refused {self.refused}")
        return _ALLOWED[module, name]
