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
        (IsADirectoryError(21, "Is a directory"), "Is a directory"),
        (EOFError(), "cut off"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (zlib.error("incorrect data check"), "incorrect data check"),
        (tarfile.ReadError("not a gzip file"), "not a gzip file"),
        (pickle.UnpicklingError("bad opcode"), "bad opcode"),
    ],
)
def test_the_errors_of_the_standard_library_become_one_data_error(raised, words, tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(DataError, match=words) as caught, reading_from(path, "something"):
        raise raised
    assert str(caught.value).startswith(f"{path}: expected something")


def test_errors_of_our_own_do_not_become_invalid_files(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(ZeroDivisionError), reading_from(path, "something"):
        raise ZeroDivisionError
