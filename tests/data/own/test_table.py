"""Tables of images, as spreadsheets, pandas and Hugging Face's libraries write them, and every error in one."""

import csv as csv_module
import io
import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from triptych.data.listing import SPLITS
from triptych.data.own.table import list_table
from triptych.data.pixels.decoding import decode
from triptych.data.pixels.opening import UndecodableImage
from triptych.errors import DataError


def png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (3, 2), shade).save(stream, "PNG")
    return stream.getvalue()


def csv(folder: Path, text: str | bytes, *, files: str = "a.png b.png c.png d.png") -> Path:
    """Write a table and the images that it names."""
    for number, name in enumerate(files.split()):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(png(number))
    table = folder / "images.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    return table


def parquet(folder: Path, columns: dict, *, metadata: dict | None = None, **options) -> Path:
    table = pyarrow.table(columns).replace_schema_metadata(metadata)
    pyarrow.parquet.write_table(table, folder / "images.parquet", **options)
    return folder / "images.parquet"


def shown(listing) -> list[tuple[str, str, str]]:
    rows = zip(listing.split.tolist(), listing.labels.tolist(), listing.names, strict=True)
    return [(SPLITS[part], listing.classes[label], name) for part, label, name in rows]


def test_paths_and_labels_are_enough(tmp_path):
    listing = list_table(
        csv(tmp_path, "path,label\na.png,dog\nb.png,cat\nfar/c.png,dog\n", files="a.png b.png far/c.png")
    )
    assert shown(listing) == [("train", "dog", "a.png"), ("train", "cat", "b.png"), ("train", "dog", "far/c.png")]
    assert listing.classes == ("cat", "dog")
    assert listing.groups is None
    assert listing.notes == ()
    assert listing.origin == f"read from {tmp_path / 'images.csv'}"
    assert [int(decode(source)[0, 0, 0]) for source in listing.sources] == [0, 1, 2]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_every_usual_dialect_is_read(tmp_path, mark, line, start):
    rows = [
        "label{}path{}comment",
        '"a, b; c|\td"{}a.png{}"he said ""no"""',
        " cat {}b.png{}",
        "",
        '"cat"{}c.png{}"x\ny"',
    ]
    text = start + line.join(row.format(mark, mark) for row in rows) + line + line
    listing = list_table(csv(tmp_path, text))
    assert [name for _, name, _ in shown(listing)] == ["a, b; c|\td", "cat", "cat"]
    assert listing.names == ["a.png", "b.png", "c.png"]


@settings(deadline=None, max_examples=30)
@given(labels=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=2, max_size=6))
def test_labels_of_any_characters_come_back(tmp_path_factory, labels):
    folder = tmp_path_factory.mktemp("table")
    labels = [f"x{label}x" for label in labels] + ["another"]
    quoted = ['"' + label.replace('"', '""') + '"' for label in labels]
    files = [f"{place}.png" for place in range(len(labels))]
    text = "path,label\r\n" + "".join(f"{file},{label}\r\n" for file, label in zip(files, quoted, strict=True))
    listing = list_table(csv(folder, text, files=" ".join(files)))
    assert [name for _, name, _ in shown(listing)] == [unicodedata.normalize("NFC", label) for label in labels]


def test_columns_may_be_called_otherwise_and_there_may_be_others(tmp_path):
    table = csv(tmp_path, "id;file;kind;part;patient\n1;a.png;x;TRAIN;p\n2;b.png;y;train;p\n3;c.png;y;Test;q\n")
    listing = list_table(table, path="file", label="kind", split="part", group="patient")
    assert shown(listing) == [("train", "x", "a.png"), ("train", "y", "b.png"), ("test", "y", "c.png")]
    assert listing.groups == ["p", "p", "q"]


def test_numbers_are_one_label_however_they_are_written(tmp_path):
    listing = list_table(csv(tmp_path, "path,label\na.png,1\nb.png,1.0\nc.png,10\nd.png,2\n"))
    assert listing.classes == ("1", "2", "10")
    assert listing.labels.tolist() == [0, 0, 2, 1]
    for column in ([1, 1, 10, 2], [1.0, 1.0, 10.0, 2.0], ["1", "1.0", "10", " 2"]):
        listing = list_table(parquet(tmp_path, {"path": ["a.png", "b.png", "c.png", "d.png"], "label": column}))
        assert listing.classes == ("1", "2", "10")
        assert listing.labels.tolist() == [0, 0, 2, 1]


def test_splits_are_spelt_in_many_ways_and_training_may_be_left_empty(tmp_path):
    rows = "a.png,x,\nb.png,y,\nc.png,x,Valid\nd.png,y, TEST \n"
    listing = list_table(csv(tmp_path, f"path,label,split\n{rows}"))
    assert [part for part, _, _ in shown(listing)] == ["train", "train", "validation", "test"]
    with pytest.raises(DataError, match=r"a split in column split of every row, since .* but received none in line 3"):
        list_table(csv(tmp_path, "path,label,split\n" + rows.replace("x,\n", "x,train\n")))


def test_rows_without_a_group_stand_alone(tmp_path):
    listing = list_table(csv(tmp_path, "path,label,group,split\na.png,x,7,\nb.png,y,7.0,\nc.png,x,,test\nd.png,y,,\n"))
    assert listing.groups == ["7", "7", None, None]


def test_absolute_paths_and_paths_upwards_are_followed(tmp_path):
    (tmp_path / "below").mkdir()
    csv(tmp_path, "")
    listing = list_table(csv(tmp_path / "below", f"path,label\n{tmp_path / 'a.png'},x\n../b.png,y\n", files=""))
    assert [int(decode(source)[0, 0, 0]) for source in listing.sources] == [0, 1]
    assert listing.names == [str(tmp_path / "a.png"), "../b.png"]


def test_a_file_that_is_named_twice_is_listed_once(tmp_path):
    listing = list_table(csv(tmp_path, "path,label,group\na.png,x,p\nb.png,y,q\na.png,x,p\nc.png,y,r\n"))
    assert listing.names == ["a.png", "b.png", "c.png"]
    assert listing.groups == ["p", "q", "r"]
    assert listing.labels.tolist() == [0, 1, 1]
    assert listing.notes == ("Left out 1 rows that name a file again: line 4.",)


def images(*shades: int | None, bare: bool = False) -> pyarrow.Array:
    content = [None if shade is None else png(shade) for shade in shades]
    if bare:
        return pyarrow.array(content, pyarrow.binary())
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    return pyarrow.array([{"bytes": image, "path": f"{row}.png"} for row, image in enumerate(content)], kind)


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("column", ["image", "picture"])
def test_images_may_be_in_the_table(tmp_path, bare, column):
    table = parquet(tmp_path, {column: images(5, 6, 7, bare=bare), "label": ["x", "y", "x"], "path": ["u", "v", "w"]})
    listing = list_table(table, image=column)
    assert listing.names == ["row 0", "row 1", "row 2"]
    assert [int(decode(source)[0, 0, 0]) for source in listing.sources] == [5, 6, 7]


def test_images_that_are_named_in_the_table_are_files_below_its_folder(tmp_path):
    (tmp_path / "1.png").write_bytes(png(9))
    listing = list_table(parquet(tmp_path, {"image": images(5, None), "label": ["x", "y"]}))
    assert int(decode(listing.sources[0])[0, 0, 0]) == 5
    assert listing.sources[1] == tmp_path / "1.png"


def test_the_class_names_that_hugging_face_writes_are_used_in_their_order(tmp_path):
    features = {"info": {"features": {"label": {"names": ["zebra", "unused", "ant"], "_type": "ClassLabel"}}}}
    columns = {"image": images(1, 2, 3), "label": [2, 0, 2]}
    listing = list_table(parquet(tmp_path, columns, metadata={"huggingface": json.dumps(features)}))
    assert listing.classes == ("zebra", "ant")
    assert listing.labels.tolist() == [1, 0, 1]
    columns["label"] = [2, 0, -1]
    with pytest.raises(DataError, match="expected a label in column label of every row, but received none in row 2"):
        list_table(parquet(tmp_path, columns, metadata={"huggingface": json.dumps(features)}))


ERRORS = {
    "no column of images": ("file,label\na.png,x\n", r"a column path of files, or image of .* columns 'file', 'label'"),
    "no column of labels": (
        "path,class\na.png,x\n",
        r"a column label of labels, .* the columns 'path', 'class'\. Fix",
    ),
    "two columns of labels": ("path,label,label\na.png,x,y\n", "a column label of labels"),
    "no label": ("path,label\na.png,x\nb.png,\nc.png, \n", "a label in column label .* none in line 3, line 4"),
    "no path": ("path,label\na.png,x\n,y\n", "a path in column path of every row, but received none in line 3"),
    "too few values": ("path,label\na.png,x\nb.png\n", "2 values in every row, .* but received 1 in line 3"),
    "too many values": ("path,label\na.png,x\n\nb.png,x,y\n", "2 values in every row, .* but received 3 in line 4"),
    "an open quote": ('path,label\na.png,"x\nb.png,y\n', "a CSV file, but received something else in line 3"),
    "no rows": ("path,label\n", "at least one row, but received none"),
    "nothing": ("", "but received the columns none"),
    "missing files": (
        "path,label\na.png,x\nfar/no.png,y\ndir\\b.png,x\n",
        r"a file at each of 3 paths, but received none at 2: far/no\.png \(line 3\), dir\\b\.png \(line 4\)\. Paths",
    ),
    "a split of another name": (
        "path,label,split\na.png,x,train\nb.png,y,maybe\n",
        r"in column split, .* 'maybe' in line 3",
    ),
    "one class": ("path,label\na.png,x\nb.png,x\n", r"training images of at least two classes, .* one \(x\)"),
    "a class without training": (
        "path,label,split\na.png,x,train\nb.png,y,train\nc.png,z,test\n",
        "training images of every class, but received none of z",
    ),
    "two labels for a file": (
        "path,label\na.png,x\nb.png,y\na.png,y\n",
        r"one label and one split for a file, but received several of a\.png in line 2 and line 4",
    ),
    "two splits for a file": (
        "path,label,split\na.png,x,train\nb.png,y,train\na.png,x,test\n",
        r"several of a\.png in line 2 and line 4",
    ),
    "a group on two sides": (
        "path,label,split,group\na.png,x,train,7\nb.png,y,train,8\nc.png,x,test,7\n",
        "all images of a group in one split, but received 1 groups in several: 7, for one, in train and test",
    ),
    "binary": (b"path,label\na.png,\xff\0\0\n", "text in UTF-8, but received other bytes in line 2"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_has_one_message_with_its_place(tmp_path, kind):
    text, words = ERRORS[kind]
    table = csv(tmp_path, text)
    with pytest.raises(DataError, match=words) as caught:
        list_table(table)
    assert str(table) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: expected a CSV or Parquet file, but received nothing"):
        list_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="a CSV or Parquet file, but received a folder"):
        list_table(tmp_path)


WRONG = {
    "labels of images": ({"image": ["x"], "label": images(1)}, "words or numbers in column label, but received struct"),
    "labels of bytes": ({"path": ["x"], "label": [b"x"]}, "words or numbers in column label, but received binary"),
    "several labels": (
        {"path": ["x", "y"], "label": [["x"], ["x", "y"]]},
        "one value in each row of column label, but received 2 in row 1",
    ),
    "images of numbers": ({"image": [1], "label": ["x"]}, r"paths, bytes or \{bytes, path\} in column image, .* int64"),
    "images of other parts": ({"image": [{"url": "x"}], "label": ["x"]}, r"paths, bytes or .* received struct<url"),
    "no rows": ({"image": images(), "label": pyarrow.array([], pyarrow.string())}, "at least one row"),
    "labels of nothing": ({"image": images(1, 2), "label": [None, None]}, "a label .* none in row 0, row 1"),
    "labels that are no numbers": ({"image": images(1, 2), "label": [1.0, float("nan")]}, "a label .* none in row 1"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_columns_of_wrong_types_are_rejected(tmp_path, kind):
    columns, words = WRONG[kind]
    with pytest.raises(DataError, match=words):
        list_table(parquet(tmp_path, columns))


def test_a_damaged_parquet_file_is_rejected(tmp_path):
    table = parquet(tmp_path, {"image": images(1, 2), "label": ["x", "y"]})
    whole = table.read_bytes()
    table.write_bytes(whole[:-9])
    with pytest.raises(DataError, match="a whole Parquet file, but received one that cannot be read"):
        list_table(table)
    table.write_bytes(whole[:4] + b"\x99" * 400 + whole[404:])
    with pytest.raises(DataError, match="a whole Parquet file, but received one that cannot be read"):
        list(list_table(table).sources)


def test_an_image_that_is_not_there_is_undecodable(tmp_path):
    listing = list_table(parquet(tmp_path, {"image": images(1, None, bare=True), "label": ["x", "y"]}))
    with pytest.raises(UndecodableImage, match="it is empty"):
        decode(listing.sources[1])


def test_dictionaries_and_missing_values_of_pandas_are_read(tmp_path):
    columns = {
        "path": pyarrow.array(["a.png", "b.png", "c.png"]),
        "label": pyarrow.array(["x", "y", "x"]).dictionary_encode(),
        "split": pyarrow.array([None, None, "test"]),
        "group": pyarrow.array([1.0, None, 2.0]),
    }
    csv(tmp_path, "")
    listing = list_table(parquet(tmp_path, columns))
    assert shown(listing) == [("train", "x", "a.png"), ("train", "y", "b.png"), ("test", "x", "c.png")]
    assert listing.groups == ["1", None, "2"]
    assert np.asarray(listing.labels).dtype == np.int64


@pytest.mark.parametrize(
    "text",
    [
        "path,label\n a.png ,x\nb.png\t,y\n",
        "sep=;\npath;label\na.png;x\nb.png;y\n",
        "sep=\t\r\npath\tlabel\r\na.png\tx\r\nb.png\ty\r\n",
        "path,label\n./a.png,x\n././b.png,y\n",
        "path,label,note\na.png,x," + "long " * 40_000 + "\nb.png,y,\n",
        "path,label\na.png,x\nb.png,y\n".encode("utf-16"),
        "path,label\na.png,x\nb.png,y\n".encode("utf-16-be").join([b"\xfe\xff", b""]),
    ],
    ids=["spaces", "sep", "sep of a tab", "dots", "a long field", "UTF-16", "UTF-16, big-endian"],
)
def test_tables_are_read_however_they_are_written(tmp_path, text):
    before = csv_module.field_size_limit()
    listing = list_table(csv(tmp_path, text))
    assert shown(listing) == [("train", "x", "a.png"), ("train", "y", "b.png")]
    assert all(source.is_file() for source in listing.sources)
    assert csv_module.field_size_limit() == before


def test_the_line_of_an_error_counts_the_line_that_names_the_delimiter(tmp_path):
    with pytest.raises(DataError, match="received 3 in line 3"):
        list_table(csv(tmp_path, "sep=;\npath;label\na.png;x;z\n"))


def test_text_of_windows_is_read_with_a_note(tmp_path):
    table = csv(tmp_path, "path,label\na.png,caf\xe9\nb.png,x\n".encode("cp1252"))
    listing = list_table(table)
    assert listing.classes == ("caf\xe9", "x")
    assert any("read as Windows-1252" in note for note in listing.notes)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_in_paths_may_be_composed_or_not(tmp_path, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    folder, name = (unicodedata.normalize(form, text) for text in ("caf\xe9", "\xfc.png"))
    written = unicodedata.normalize(other, "caf\xe9/\xfc.png")
    listing = list_table(csv(tmp_path, f"path,label\n{written},x\nb.png,y\n", files=f"{folder}/{name} b.png"))
    assert all(source.is_file() for source in listing.sources)


def test_one_file_by_several_paths_is_listed_once(tmp_path):
    listing = list_table(csv(tmp_path, "path,label\na.png,x\n./a.png,x\nb.png,y\n"))
    assert listing.names == ["a.png", "b.png"]
    with pytest.raises(DataError, match="one label and one split for a file"):
        list_table(csv(tmp_path, "path,label\na.png,x\n./a.png,y\n"))


def test_backslashes_of_windows_are_slashes(tmp_path):
    listing = list_table(csv(tmp_path, "path,label\nfar\\a.png,x\nb.png,y\n", files="far/a.png b.png"))
    assert listing.names == ["far/a.png", "b.png"]


def test_categories_of_pandas_and_lists_of_one_label_are_read(tmp_path):
    csv(tmp_path, "")
    columns = {
        "path": pyarrow.array(["a.png", "b.png", "c.png"]).dictionary_encode(),
        "label": [["x"], ["y"], ["x"]],
        "split": pyarrow.array(["Training", "train", "testing"]).dictionary_encode(),
    }
    listing = list_table(parquet(tmp_path, columns))
    assert shown(listing) == [("train", "x", "a.png"), ("train", "y", "b.png"), ("test", "x", "c.png")]


def test_a_table_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "images.csv")
    with pytest.raises(DataError, match="a CSV or Parquet file, but received a pipe, socket or device"):
        list_table(tmp_path / "images.csv")


@pytest.mark.parametrize(
    "text",
    [
        'path, label\n"a.png", "x"\n"b.png", "y"\n',
        'label, path\n"x", "a.png"\n"y", "b.png"\n',
        '"sep=;"\npath;label\na.png;x\nb.png;y\n',
        "SEP=;;\r\npath;label\r\na.png;x\r\nb.png;y\r\n",
        "\n  \r\npath,label\na.png,x\nb.png,y\n",
        "note " * 40_000 + ",path,label\n,a.png,x\n,b.png,y\n",
        "path,label\na.png,x\nb.png,y\n".encode("utf-16-le"),
        "path,label\na.png,x\nb.png,y\n".encode("utf-16-be"),
        "path,label\na.png,x\nb.png,y\n".encode("utf-32"),
        "path,label\na.png,\"['x']\"\nb.png,\"['y']\"\n",
    ],
    ids=[
        *("quotes after spaces", "paths in quotes after spaces", "sep in quotes", "sep in a row", "empty lines"),
        *("a long name of a column", "UTF-16 without a mark", "UTF-16, big-endian, without a mark", "UTF-32"),
        "lists of one label",
    ],
)
def test_tables_of_other_programs_are_read(tmp_path, text):
    assert shown(list_table(csv(tmp_path, text))) == [("train", "x", "a.png"), ("train", "y", "b.png")]


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("path,label\na.png,x\0\nb.png,y\n", "other bytes in line 2"),
        (b"path,label\na.png,\x81\x8d\nb.png,y\n", "other bytes in line 2"),
        ('path,label\na.png,"[""x"", ""y""]"\nb.png,"[""y""]"\n', "received 2 in line 2"),
        ("\n\npath,label\na.png,x,z\n", "received 3 in line 4"),
    ],
    ids=["null bytes", "no encoding", "lists of several labels", "the line after empty ones"],
)
def test_what_has_no_one_meaning_is_rejected(tmp_path, text, received):
    with pytest.raises(DataError, match=received):
        list_table(csv(tmp_path, text))


def test_a_file_that_links_give_several_paths_is_listed_once(tmp_path):
    text = f"path,label\na.png,x\n{tmp_path}/a.png,x\nlink/a.png,x\nagain.png,x\nb.png,y\n"
    table = csv(tmp_path, text, files="a.png b.png")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "again.png").symlink_to(tmp_path / "a.png")
    assert list_table(table).names == ["a.png", "b.png"]
    with pytest.raises(DataError, match="one label and one split for a file"):
        list_table(csv(tmp_path, text.replace("link/a.png,x", "link/a.png,y")))


@pytest.mark.parametrize("written", ["\xe9tiquette", "e\u0301tiquette", " e\u0301tiquette "])
@pytest.mark.parametrize("requested", ["\xe9tiquette", "e\u0301tiquette"])
def test_columns_are_found_however_their_accents_and_spaces_are_written(tmp_path, written, requested):
    in_text = list_table(csv(tmp_path, f"path,{written}\na.png,x\nb.png,y\n"), label=requested)
    in_parquet = list_table(parquet(tmp_path, {" path": ["a.png", "b.png"], written: ["x", "y"]}), label=requested)
    assert in_text.classes == in_parquet.classes == ("x", "y")
