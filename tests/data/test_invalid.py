"""The message of an invalid file names the file, what was expected, what came and what to do, whatever went wrong."""

import pickle
import tarfile
import zlib
from pathlib import Path

import pytest

from triptych.data.invalid import REMEDY, invalid, reading_from
from triptych.errors import DataError


def test_the_message_has_its_four_parts():
    message = str(invalid(Path("folder/file"), "apples", "pears"))
    assert message == f"{Path('folder/file')}: expected apples, but received pears. {REMEDY}"


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (FileNotFoundError(), "no such file"),
        (EOFError(), "cut off"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (zlib.error("incorrect data check"), "incorrect data check"),
        (tarfile.ReadError("not a gzip file"), "not a gzip file"),
        (pickle.UnpicklingError("bad opcode"), "bad opcode"),
    ],
)
def test_the_errors_of_the_standard_library_become_one_data_error(tmp_path, raised, words):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(DataError, match=words) as caught, reading_from(file, "something"):
        raise raised
    assert str(caught.value).startswith(f"{file}: expected something")


def test_a_folder_in_the_place_of_a_file_is_reported_before_it_is_read(tmp_path):
    with pytest.raises(DataError, match="a folder of that name"), reading_from(tmp_path, "something"):
        pytest.fail("it was read")


def test_errors_of_our_own_are_not_dressed_up_as_invalid_files(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ZeroDivisionError), reading_from(tmp_path / "file", "something"):
        raise ZeroDivisionError
