"""Reads the pickles of CIFAR-10's batches as data, without an unpickler: no object is built and no code is called.

A pickle is a program for a stack machine, which can import and call any function. This module interprets only the
instructions for dictionaries, lists, numbers, text and NumPy arrays; imports and calls are only recorded. Only records
that describe an array of bytes, as NumPy 1 and 2 write it, are converted to one, by `numpy.frombuffer`.
"""

import pickletools
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from triptych.data.invalid import REMEDY, invalid
from triptych.errors import DataError


class _Name(NamedTuple):
    """A function or class that the pickle refers to."""

    name: str


@dataclass(eq=False)
class _Call:
    """A call that the pickle requests; it may be the key of a dictionary."""

    function: object
    arguments: object
    state: list[object]


class _NotDataError(Exception):
    """The pickle contains something other than data."""


MOST_AXES, MOST = 8, 2**40
"""Limits of an array's number of axes and their sizes, so that their product stays small."""
_MARK = object()
_RECONSTRUCT = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_FROM_BUFFER = {"numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer"}
_ENCODE = "_codecs encode"
_PARTS = _RECONSTRUCT | _FROM_BUFFER | {_ENCODE, "numpy ndarray", "numpy dtype"}


def load_arrays(content: bytes, *, path: Path) -> object:
    """Read uint8 arrays, numbers, text and plain containers of them.

    Args:
        content: The bytes of the pickle, of Python 2 or 3.
        path: The file, for error messages.

    Raises:
        DataError: The pickle is damaged, or contains anything else.
    """
    if not content:
        raise invalid(path, "a pickle of arrays", "an empty file")
    try:
        return _plain(_run(content))
    except _NotDataError as error:
        raise DataError(
            f"{path}: expected a pickle that holds arrays only, but it names {error}, which could run code; nothing of "
            f"it was run. {REMEDY}"
        ) from error
    except Exception as error:  # damaged bytes can give inconsistent instructions
        reason = str(error)[:200] or type(error).__name__
        raise invalid(path, "a pickle of arrays", f"a damaged one ({reason})") from error


def _run(content: bytes) -> object:  # noqa: PLR0912, PLR0915  # one case per instruction
    """Interpret the instructions of a pickle, and return the top of the stack at the end."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for code, argument, _ in pickletools.genops(content):
        match code.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                stack.append(_MARK)
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(code.name == "NEWTRUE")
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "DICT":
                items = _since_mark(stack)
                stack.append(dict(zip(map(_key, items[::2]), items[1::2], strict=True)))
            case "LIST":
                stack.append(_since_mark(stack))
            case "TUPLE":
                stack.append(tuple(_since_mark(stack)))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(code.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _container(stack, dict)[_key(key)] = value
            case "SETITEMS":
                items = _since_mark(stack)
                _container(stack, dict).update(zip(map(_key, items[::2]), items[1::2], strict=True))
            case "APPEND":
                value = stack.pop()
                _container(stack, list).append(value)
            case "APPENDS":
                items = _since_mark(stack)
                _container(stack, list).extend(items)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[int(argument)] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[int(argument)])
            case "GLOBAL":
                stack.append(_named(argument))
            case "STACK_GLOBAL":
                name, module = _text(stack.pop()), _text(stack.pop())
                stack.append(_named(f"{module} {name}"))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_Call(function, arguments, []))
            case "BUILD":
                state = stack.pop()
                _container(stack, _Call).state.append(state)
            case name if isinstance(argument, int | float | str | bytes | bytearray) and _is_value(name):
                stack.append(argument)
            case name:
                raise _NotDataError(f"the instruction {name}")
    raise ValueError("it ends early")


def _is_value(name: str) -> bool:
    """Return whether an instruction pushes a number, text or bytes."""
    return name.startswith(
        ("INT", "LONG", "FLOAT", "BINFLOAT", "BININT", "STRING", "BINSTRING", "SHORT_BIN", "UNICODE", "BINUNICODE")
    ) or (name.startswith(("BINBYTES", "BYTEARRAY")))


def _key(value: object) -> str | bytes | int:
    """Check a key of a dictionary: hashing nested tuples could take unbounded time or overflow the stack."""
    if isinstance(value, str | bytes | int):
        return value
    if isinstance(value, _Call):  # bytes in old protocols of Python 3
        return _bytes(value)
    raise ValueError(f"a dictionary with a key that is a {type(value).__name__}")


def _text(value: object) -> str:
    """Check a text: the string form of other values could be unbounded."""
    if isinstance(value, str):
        return value
    raise ValueError(f"a text, and a {type(value).__name__} is there")


def _named(name: str) -> _Name:
    if name not in _PARTS:
        raise _NotDataError(name[:100].replace(" ", "."))
    return _Name(name)


def _since_mark(stack: list[Any]) -> list[Any]:
    """Pop the values above the last mark."""
    place = next(place for place in range(len(stack) - 1, -1, -1) if stack[place] is _MARK)
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _container(stack: list[Any], kind: type) -> Any:  # noqa: ANN401  # an instance of `kind`
    if type(stack[-1]) is not kind:
        raise ValueError(f"an instruction for a {kind.__name__}, and a {type(stack[-1]).__name__} is there")
    return stack[-1]


def _plain(value: object, known: dict[int, object] | None = None) -> object:
    """Convert the records of arrays to arrays; shared values are converted once, at any nesting."""
    known = {} if known is None else known
    if id(value) in known:
        return known[id(value)]
    if type(value) is dict:
        plain: object = {key: _plain(item, known) for key, item in value.items()}
    elif type(value) is list:
        plain = [_plain(item, known) for item in value]
    elif type(value) is tuple:
        plain = tuple(_plain(item, known) for item in value)
    else:
        return _array(value) if isinstance(value, _Call | _Name) else value
    known[id(value)] = plain
    return plain


def _array(value: _Call | _Name) -> object:
    """Build a uint8 array in C order from a record; other arrays are replaced by their type."""
    if isinstance(value, _Name):
        raise _NotDataError(value.name.replace(" ", "."))
    function = value.function.name if isinstance(value.function, _Name) else ""
    arguments: Any = value.arguments
    if function == _ENCODE:
        return _bytes(value)
    if function in _RECONSTRUCT:
        _, shape, kind, is_fortran, data = value.state[0]  # type: ignore[misc]  # whatever does not fit raises
    elif function in _FROM_BUFFER:
        data, kind, shape, order = arguments
        is_fortran = order == "F"
    else:
        raise _NotDataError(function.replace(" ", ".") or "a call of something that is no function")
    dtype = np.dtype(_kind(kind))
    content = _bytes(data)
    if (
        not isinstance(shape, tuple)
        or len(shape) > MOST_AXES
        or not all(type(size) is int and 0 <= size < MOST for size in shape)
    ):
        raise ValueError("an array of another shape than a few whole numbers")
    if dtype.itemsize * prod(shape) != len(content):
        raise ValueError(f"{len(content):,} bytes for an array {shape} of {dtype}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")


def _kind(record: object) -> str:
    """Read the type code of a record of a NumPy dtype."""
    if isinstance(record, _Call) and record.function == _Name("numpy dtype"):
        code = record.arguments[0]  # type: ignore[index]  # whatever does not fit raises
        code = code.decode() if isinstance(code, bytes) else code
        if isinstance(code, str) and code in ("u1", "i1", "b1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"):
            return code
    raise _NotDataError("an array of something else than numbers")


def _bytes(data: object) -> bytes:
    """Read bytes, which Python 2 and old protocols of Python 3 write as Latin-1 text."""
    if isinstance(data, _Call) and data.function == _Name(_ENCODE):
        arguments: Any = data.arguments  # whatever does not fit raises
        text, encoding = arguments
        if _text(encoding) != "latin1":
            raise ValueError(f"text encoded as {encoding[:20]!r}")
        return _text(text).encode("latin1")
    if isinstance(data, str):
        return data.encode("latin1")
    if isinstance(data, bytes | bytearray):
        return bytes(data)
    raise ValueError(f"the bytes of an array, and a {type(data).__name__} is there")
