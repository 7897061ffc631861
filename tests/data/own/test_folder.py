"""Folders of class folders: every layout, order and oddity that people's disks have."""

import itertools
import os
import shutil
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.data.listing import SPLITS
from triptych.data.own.folder import list_folder
from triptych.errors import DataError


def make(root: Path, *paths: str) -> Path:
    """Make empty files, or folders where a path ends in a slash: nothing is opened when a folder is listed."""
    for path in paths:
        target = root / path
        if path.endswith("/"):
            target.mkdir(parents=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    return root


def shown(listing) -> list[tuple[str, str, str]]:
    """Split, class and name of each image."""
    rows = zip(listing.split.tolist(), listing.labels.tolist(), listing.names, strict=True)
    return [(SPLITS[part], listing.classes[label], name) for part, label, name in rows]


def test_a_folder_of_class_folders_is_all_for_training(tmp_path):
    make(tmp_path, "dog/b.png", "cat/10.jpg", "cat/9.JPG", "cat/far/in/side.webp", "dog/a.tiff")
    listing = list_folder(tmp_path)
    assert shown(listing) == [
        ("train", "cat", "cat/9.JPG"),
        ("train", "cat", "cat/10.jpg"),
        ("train", "cat", "cat/far/in/side.webp"),
        ("train", "dog", "dog/a.tiff"),
        ("train", "dog", "dog/b.png"),
    ]
    assert [source.relative_to(tmp_path).as_posix() for source in listing.sources] == listing.names
    assert listing.classes == ("cat", "dog")
    assert listing.groups is None
    assert listing.origin == f"read from {tmp_path}"
    assert listing.notes == ()
    assert len(listing) == 5


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "valid", "TEST"), ("train", "Validation", "test")]
)
def test_splits_are_folders_of_their_own(tmp_path, names):
    train, validation, test = names
    make(tmp_path, f"{test}/b/1.png", f"{train}/b/1.png", f"{train}/a/1.png", f"{validation}/a/2.png")
    assert shown(list_folder(tmp_path)) == [
        ("train", "a", f"{train}/a/1.png"),
        ("train", "b", f"{train}/b/1.png"),
        ("validation", "a", f"{validation}/a/2.png"),
        ("test", "b", f"{test}/b/1.png"),
    ]


def test_folders_beside_the_splits_are_left_out(tmp_path):
    make(tmp_path, "train/a/1.png", "train/b/1.png", "annotations/1.png", "docs/")
    listing = list_folder(tmp_path)
    assert listing.names == ["train/a/1.png", "train/b/1.png"]
    assert listing.notes == ("Left out 2 folders beside those of the splits: annotations, docs.",)


def test_train_is_a_class_where_images_lie_in_it(tmp_path):
    make(tmp_path, "bus/1.png", "train/1.png", "tram/1.png")
    assert list_folder(tmp_path).classes == ("bus", "train", "tram")


def test_classes_are_ordered_as_numbers(tmp_path):
    make(tmp_path, *(f"{number}/1.png" for number in (10, 9, 1, 100, 2)))
    assert list_folder(tmp_path).classes == ("1", "2", "9", "10", "100")


def test_what_is_no_image_is_left_out_and_counted(tmp_path):
    make(
        tmp_path,
        "a/1.png",
        "b/1.png",
        "a/.hidden.png",
        "a/._1.png",
        "a/Thumbs.db",
        "__MACOSX/a/1.png",
        ".git/a/1.png",
        "a/notes.txt",
        "b/more.TXT",
        "b/README",
        "b/video.mp4",
        "labels.csv",
    )
    listing = list_folder(tmp_path)
    assert listing.names == ["a/1.png", "b/1.png"]
    assert listing.classes == ("a", "b")
    assert listing.notes == ("Left out what is no image: 5 hidden, 2 .txt, 1 .csv, 1 .mp4, 1 without extension.",)


def test_images_beside_the_class_folders_are_left_out_with_a_note(tmp_path):
    make(tmp_path, "train/a/1.png", "train/b/1.png", "train/3.png", "cover.jpg", "test/1.png", "test/2.png")
    listing = list_folder(tmp_path)
    assert len(listing) == 2
    assert listing.notes == (
        "Left out 4 images beside the class folders: cover.jpg, test/1.png, test/2.png, train/3.png.",
    )


def test_class_folders_without_images_are_named(tmp_path):
    make(tmp_path, "a/1.png", "b/1.png", "c/", "d/x.txt")
    listing = list_folder(tmp_path)
    assert listing.classes == ("a", "b")
    assert listing.notes[0] == "Left out 2 class folders without images: c, d."


def test_folders_that_look_like_splits_but_are_called_otherwise_are_doubted(tmp_path):
    for part, name in itertools.product(("first", "second"), ("cats", "dogs")):
        make(tmp_path, f"{part}/{name}/1.png")
    listing = list_folder(tmp_path)
    assert listing.classes == ("first", "second")
    assert listing.notes == (
        "All images lie in the folders cats, dogs of each class. If first, second are no classes but splits, "
        "call them train, val and test.",
    )


def test_names_of_any_script_are_kept_and_accents_composed(tmp_path):
    decomposed = unicodedata.normalize("NFD", "café")
    make(tmp_path, f"train/{decomposed}/ü 1.png", "train/🐈 cats/日本.png", "test/café/ü 1.png", "test/🐈 cats/a b.png")
    listing = list_folder(tmp_path)
    assert listing.classes == ("café", "🐈 cats")
    assert listing.labels.tolist() == [0, 1, 0, 1]
    assert all(source.is_file() for source in listing.sources)


@pytest.mark.skipif(os.name != "posix", reason="such names exist on POSIX only")
def test_names_that_are_no_text_can_be_printed_and_opened(tmp_path):
    make(tmp_path, os.fsdecode(b"a/\xe9.png"), os.fsdecode(b"b\xff/\xe9.png"))
    listing = list_folder(tmp_path)
    assert listing.classes == ("a", r"b\udcff")
    assert listing.names == [r"a/\udce9.png", r"b\udcff/\udce9.png"]
    assert all(source.is_file() for source in listing.sources)
    "".join((*listing.names, *listing.classes, *listing.notes)).encode()


@settings(deadline=None, max_examples=25)
@given(st.permutations(["b/2.png", "b/10.png", "a/x/1.png", "a/1.png", "c 1/é.png", "c 10/1.png"]))
def test_the_order_is_that_of_the_names_whatever_was_made_first(tmp_path_factory, paths):
    root = make(tmp_path_factory.mktemp("photos"), *paths)
    assert list_folder(root).names == ["a/1.png", "a/x/1.png", "b/2.png", "b/10.png", "c 1/é.png", "c 10/1.png"]
    shutil.rmtree(root)


def test_half_a_split_is_rejected(tmp_path):
    make(tmp_path, "val/a/1.png", "test/a/1.png")
    with pytest.raises(DataError, match="expected a folder train beside val, test, but received none"):
        list_folder(tmp_path)
    make(tmp_path, "train/a/1.png", "train/b/1.png", "valid/a/1.png")
    with pytest.raises(
        DataError, match="one folder for each of train, validation, test, but received train, val, valid"
    ):
        list_folder(tmp_path)


def test_classes_that_training_lacks_are_named(tmp_path):
    make(tmp_path, "train/a/1.png", "train/b/1.png", "test/zoo/1.png", "test/b/1.png", "train/zoo/")
    with pytest.raises(DataError, match="expected training images of every class, but received none of zoo,"):
        list_folder(tmp_path)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["a/1.png", "b/"], r"at least two classes, but received images of one \(a\)"),
        ([], "expected a folder of images for each class, but received no images beside them"),
        (["1.png", "2.png"], "expected a folder of images for each class, but received 2 images beside them"),
        (["a/1.txt", "b/2.txt"], r"for each class, but received 2 \.txt\. Images are files of \.avif, \.bmp, \.gif"),
    ],
)
def test_folders_without_classes_are_rejected(tmp_path, paths, words):
    make(tmp_path, *paths)
    with pytest.raises(DataError, match=words):
        list_folder(tmp_path)


def test_what_is_no_folder_is_rejected(tmp_path):
    with pytest.raises(DataError, match="nothing: there is no such folder"):
        list_folder(tmp_path / "nowhere")
    make(tmp_path, "photos.zip")
    with pytest.raises(DataError, match="a file: unpack it and name the folder"):
        list_folder(tmp_path / "photos.zip")


@pytest.mark.parametrize(
    "names",
    [("Training", "Testing"), ("train_set", "Test Set"), ("TRAINING-SET", "test_data"), ("trainset", "test-images")],
)
def test_other_spellings_of_splits_are_splits(tmp_path, names):
    for split in names:
        make(tmp_path, f"{split}/cat/1.png", f"{split}/dog/1.png")
    listing = list_folder(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert listing.split.tolist() == [0, 0, 2, 2]


def test_one_folder_around_everything_is_entered(tmp_path):
    make(tmp_path / "with splits", "archive/train/cat/1.png", "archive/train/dog/1.png", "archive/valid/dog/2.png")
    listing = list_folder(tmp_path / "with splits")
    assert listing.classes == ("cat", "dog")
    assert listing.split.tolist() == [0, 0, 1]
    make(tmp_path / "without", "photos/cat/1.png", "photos/dog/1.png")
    assert list_folder(tmp_path / "without").names == ["photos/cat/1.png", "photos/dog/1.png"]


def test_splits_within_each_class_are_splits(tmp_path):
    make(tmp_path, "cat/train/1.png", "cat/test/2.png", "dog/Training/3.png", "dog/test/4.png")
    assert shown(list_folder(tmp_path)) == [
        ("train", "cat", "cat/train/1.png"),
        ("train", "dog", "dog/Training/3.png"),
        ("test", "cat", "cat/test/2.png"),
        ("test", "dog", "dog/test/4.png"),
    ]
    make(tmp_path, "dog/5.png")
    assert list_folder(tmp_path).split.unique().tolist() == [0]


def test_folders_of_systems_are_no_classes(tmp_path):
    make(tmp_path, "cat/1.png", "dog/1.png")
    for name in ("$RECYCLE.BIN", "#recycle", "@eaDir", "System Volume Information", "lost+found", "__MACOSX"):
        make(tmp_path, f"{name}/1.png", f"cat/{name}/2.png")
    assert list_folder(tmp_path).names == ["cat/1.png", "dog/1.png"]


def test_classes_that_differ_in_case_alone_are_noted_or_merged(tmp_path):
    make(tmp_path / "one", "Cat/1.png", "cat/2.png", "dog/1.png")
    listing = list_folder(tmp_path / "one")
    assert len(listing.classes) == 3
    assert (
        "The classes Cat, cat differ in case, spaces or hyphens alone; if they are one, give them one name."
        in listing.notes
    )
    make(tmp_path / "two", "train/Cat/1.png", "train/dog/1.png", "test/cat/2.png", "test/dog/2.png")
    listing = list_folder(tmp_path / "two")
    assert listing.classes == ("Cat", "dog")
    assert listing.labels.tolist() == [0, 1, 0, 1]
    assert any(note.startswith("Images of cat are assigned to the class Cat") for note in listing.notes)


@pytest.mark.parametrize(
    "names",
    [
        ("seg_train", "seg_test", "seg_pred"),
        ("01_train", "02_test"),
        ("train2017", "test2017"),
        ("images-train", "images-test"),
        ("trn", "tst"),
    ],
)
@pytest.mark.parametrize("around", ["", "archive/", "archive/inner/"])
def test_names_that_are_alike_but_for_the_split_are_splits(tmp_path, names, around):
    for split in names:
        make(tmp_path, f"{around}{split}/cat/1.png", f"{around}{split}/dog/1.png")
    listing = list_folder(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert listing.split.tolist() == [0, 0, 2, 2]
    assert any("seg_pred" in note for note in listing.notes) == ("seg_pred" in names)


@pytest.mark.parametrize("inner", [("seg_train", "seg_test"), ("images", "images")])
def test_one_folder_around_the_classes_of_each_split_is_entered(tmp_path, inner):
    for split, within in zip(("seg_train", "seg_test"), inner, strict=True):
        make(tmp_path, f"{split}/{within}/cat/1.png", f"{split}/{within}/dog/1.png")
    listing = list_folder(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert listing.split.tolist() == [0, 0, 2, 2]


def test_classes_whose_names_hold_that_of_a_split_stay_classes(tmp_path):
    make(tmp_path, "bullet_train/1.png", "car/1.png", "crash_test/1.png")
    assert list_folder(tmp_path).classes == ("bullet_train", "car", "crash_test")
    make(tmp_path / "alike", "mail_train/1.png", "mail_test/1.png")
    assert list_folder(tmp_path / "alike").classes == ("mail_test", "mail_train")


@pytest.mark.parametrize(
    "names", [("sea lion", "sea_lion"), ("cat", "cat\u200b"), ("STRASSE", "straße"), ("a-b", "A b")]
)
def test_names_that_look_alike_are_noted(tmp_path, names):
    make(tmp_path, *(f"{name}/1.png" for name in names), "dog/1.png")
    assert any("differ in case, spaces or hyphens alone" in note for note in list_folder(tmp_path).notes)
