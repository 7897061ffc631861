"""A broken file's message names the file, what was expected, what came and what to do, whatever went wrong."""

import pickle
import tarfile
import zlib
from pathlib import Path

import pytest

from triptych.data.broken import REMEDY, broken, reading_from
from triptych.errors import DataError


def test_the_message_has_its_four_parts():
    message = str(broken(Path("folder/file"), "apples", "pears"))
    assert message == f"{Path('folder/file')}: expected apples, but received pears. {REMEDY}"


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (FileNotFoundError(), "no such file"),
        (IsADirectoryError(), "a folder"),
        (EOFError(), "cut off"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (zlib.error("incorrect data check"), "incorrect data check"),
        (tarfile.ReadError("not a gzip file"), "not a gzip file"),
        (pickle.UnpicklingError("bad opcode"), "bad opcode"),
    ],
)
def test_the_errors_of_the_standard_library_become_one_data_error(raised, words):
    with pytest.raises(DataError, match=words) as caught, reading_from(Path("file"), "something"):
        raise raised
    assert str(caught.value).startswith("file: expected something")


def test_mistakes_of_our_own_are_not_dressed_up_as_broken_files():
    with pytest.raises(ZeroDivisionError), reading_from(Path("file"), "something"):
        raise ZeroDivisionError
