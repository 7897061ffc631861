"""The suggestions of an audit become a table of corrections, which a person can change and training can read."""

from pathlib import Path

import pytest

from triptych.errors import DataError
from triptych.evaluation.audit.corrections import overlaid, read_corrections, suggested_corrections, write_corrections

LABEL_ISSUES = (
    "rank,split,index,file,label,suggested,score,likely\n"
    "1,train,3,cat/1.jpg,cat,dog,5,yes\n"
    "2,test,9,'=dog/2.jpg,dog,'-emu,4,yes\n"
    "3,train,4,cat/3.jpg,cat,emu,1,no\n"
)
NEAR_DUPLICATES = (
    "rank,split,index,file,other_split,other_index,other_file,exact\n"
    "1,train,4,cat/4.jpg,test,5,cat/5.jpg,yes\n"
    "2,test,6,cat/6.jpg,train,7,cat/7.jpg,yes\n"
    "3,train,8,cat/8.jpg,train,9,cat/9.jpg,no\n"
)


@pytest.fixture
def audited(tmp_path: Path) -> Path:
    (tmp_path / "label_issues.csv").write_text(LABEL_ISSUES)
    (tmp_path / "near_duplicates.csv").write_text(NEAR_DUPLICATES)
    return tmp_path


def test_likely_errors_get_the_suggested_class(audited):
    assert suggested_corrections(audited) == {("cat/1.jpg",): "dog", ("=dog/2.jpg",): "-emu"}


def test_the_most_doubtful_can_be_taken_instead(audited):
    assert list(suggested_corrections(audited, top=3)) == [("cat/1.jpg",), ("=dog/2.jpg",), ("cat/3.jpg",)]
    assert suggested_corrections(audited, top=0) == {}


def test_of_exact_duplicates_the_test_image_stays(audited):
    found = suggested_corrections(audited, top=0, drop_duplicates=True)
    assert found == {("cat/4.jpg",): "", ("cat/7.jpg",): ""}


def test_a_table_comes_back_as_it_was_written(tmp_path):
    written = {("a.jpg",): "cat", ("=b.jpg",): "-dog", ("'c.jpg",): "", ("ü/d.jpg",): "猫, kot"}
    write_corrections(tmp_path / "corrections.csv", written)
    assert read_corrections(tmp_path / "corrections.csv") == written
    assert (tmp_path / "corrections.csv").read_text().splitlines()[0] == "path,label"
    assert "\n=" not in (tmp_path / "corrections.csv").read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,class\na,b\n", "expected the columns path, label or split, index, label, but received path, class"),
        ("path,label\na,b\na,c\n", "line 3: expected one label for a, got 'c' after 'b'"),
        (b"path,label\n\xff\0,b\n", "expected text in UTF-8"),
        ("path,label\n" + "x" * 200_000, "2 values in every row"),
        (None, "expected a CSV file, but received nothing"),
    ],
)
def test_a_damaged_table_is_one_message(tmp_path, content, message):
    path = tmp_path / "corrections.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        read_corrections(path)


def test_tables_of_spreadsheets_are_read_as_those_of_training(tmp_path):
    path = tmp_path / "corrections.csv"
    path.write_text("sep=;\nlabel; path\nK\u00e4tzchen;a.jpg\n", encoding="cp1252")
    assert read_corrections(path) == {("a.jpg",): "K\u00e4tzchen"}


def test_images_without_files_are_named_by_split_and_index(tmp_path):
    (tmp_path / "label_issues.csv").write_text("split,index,file,suggested,likely\ntest,7,,dog,yes\n")
    found = suggested_corrections(tmp_path)
    write_corrections(tmp_path / "corrections.csv", found)
    assert found == read_corrections(tmp_path / "corrections.csv") == {("test", "7"): "dog"}
    assert (tmp_path / "corrections.csv").read_text().splitlines() == ["split,index,label", "test,7,dog"]


def test_images_are_named_in_one_way(tmp_path):
    with pytest.raises(DataError, match="all by split and index; got both"):
        write_corrections(tmp_path / "corrections.csv", {("a.jpg",): "cat", ("test", "7"): "dog"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["./cat/1.jpg", " cat/1.jpg ", "cat\\1.jpg", "cat/1.jpg"])
def test_own_corrections_take_precedence_however_they_spell_a_path(audited, path):
    """Two rows of one image would be rejected by training."""
    assert overlaid(suggested_corrections(audited, top=1), {(path,): "emu"}) == {("cat/1.jpg",): "emu"}


def test_one_image_that_is_spelled_in_two_ways_has_one_label(tmp_path):
    file = tmp_path / "own.csv"
    file.write_text("path,label\ncat/1.jpg,dog\n./cat/1.jpg,dog\n")
    assert read_corrections(file) == {("cat/1.jpg",): "dog"}
    file.write_text("path,label\ncat/1.jpg,dog\n./cat/1.jpg,emu\n")
    with pytest.raises(DataError, match="got 'emu' after 'dog'"):
        read_corrections(file)
