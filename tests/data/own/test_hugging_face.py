"""Data sets of the library `datasets`: folders that it saved, its hub, and a machine that does not have it."""

import sys

import datasets
import pytest
from PIL import Image

from triptych.data.listing import SPLITS
from triptych.data.own.hugging_face import list_hugging_face
from triptych.data.pixels.decoding import decode
from triptych.errors import DataError, DownloadError

CLASSES = ["zebra", "ant", "unused"]


def rows(size: int, *, labels=None, first: int = 0, **others) -> datasets.Dataset:
    """Images whose shade is their row, with class labels."""
    content = {
        "image": [Image.new("L", (3, 2), first + row) for row in range(size)],
        "label": [row % 2 for row in range(size)] if labels is None else labels,
        **others,
    }
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)}
    features = {name: kinds.get(name) or datasets.Value("string") for name in content}
    return datasets.Dataset.from_dict(content, features=datasets.Features(features))


@pytest.fixture(autouse=True, scope="module")
def _quiet():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def saved(tmp_path):
    """Save splits as the library does and return the folder."""

    def save(**splits):
        datasets.DatasetDict(splits).save_to_disk(str(tmp_path / "saved"))
        return tmp_path / "saved"

    return save


def shown(listing) -> list[tuple[str, str, str, int]]:
    """Split, class, name and shade of each image."""
    return [
        (SPLITS[part], listing.classes[label], name, int(decode(source)[0, 0, 0]))
        for part, label, name, source in zip(
            listing.split.tolist(), listing.labels.tolist(), listing.names, listing.sources, strict=True
        )
    ]


def test_a_saved_folder_is_read_in_the_order_of_its_classes(saved):
    listing = list_hugging_face(saved(test=rows(2, first=90), train=rows(3), validation=rows(1, first=50)))
    assert shown(listing) == [
        ("train", "zebra", "train row 0", 0),
        ("train", "ant", "train row 1", 1),
        ("train", "zebra", "train row 2", 2),
        ("validation", "zebra", "validation row 0", 50),
        ("test", "zebra", "test row 0", 90),
        ("test", "ant", "test row 1", 91),
    ]
    assert listing.classes == ("zebra", "ant")
    assert listing.notes == ()


def test_a_single_table_is_for_training_and_a_selection_of_it_stays_one(tmp_path):
    rows(6).select([4, 1, 0]).save_to_disk(str(tmp_path / "one"))
    assert [shade for *_, shade in shown(list_hugging_face(tmp_path / "one"))] == [4, 1, 0]


def test_a_folder_that_load_dataset_reads_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "hub/data").mkdir(parents=True)
    for part in ("train", "test"):
        rows(4).to_parquet(str(tmp_path / f"hub/data/{part}-00000-of-00001.parquet"))
    listing = list_hugging_face(str(tmp_path / "hub"))
    assert listing.split.tolist() == [0] * 4 + [2] * 4
    assert listing.classes == ("zebra", "ant")


def test_splits_of_other_names_and_without_labels_are_left_out(saved):
    folder = saved(train=rows(4), extra=rows(2), test=rows(3, labels=[-1] * 3), valid=rows(2))
    listing = list_hugging_face(folder)
    assert listing.split.tolist() == [0] * 4 + [1] * 2
    assert listing.notes == (
        "Left out, as neither of training, validation nor test: the splits extra.",
        "Left out the splits without labels: test.",
    )
    without = saved(train=rows(4), test=rows(3).remove_columns("label"))
    assert list_hugging_face(without).split.tolist() == [0] * 4


def test_columns_are_found_by_type_or_by_name(saved):
    table = rows(4, patient=["p", "p", "q", ""], colour=["red", "red", "blue", "red"])
    folder = saved(train=table.rename_columns({"image": "picture", "label": "kind"}))
    listing = list_hugging_face(folder, label="colour", group="patient")
    assert listing.classes == ("blue", "red")
    assert listing.groups == ["p", "p", "q", None]
    assert list_hugging_face(folder).classes == ("zebra", "ant")
    others = rows(4).select_columns("image").rename_column("image", "other")
    two = saved(train=datasets.concatenate_datasets([rows(4), others], axis=1))
    with pytest.raises(DataError, match=r"one column of type Image, but received the columns image \(Image\), .*other"):
        list_hugging_face(two)
    assert len(list_hugging_face(two, image="other")) == 4


def test_labels_of_text_are_in_natural_order(saved):
    table = rows(4).remove_columns("label").add_column("labels", ["10", "9", "2", "9"])
    assert list_hugging_face(saved(train=table)).classes == ("2", "9", "10")


@pytest.mark.parametrize(
    ("splits", "options", "words"),
    [
        ({"test": {}}, {}, "expected a split train, and at most one each of validation, test, but received test"),
        ({"train": {}, "val": {}, "validation": {}}, {}, "but received train, val, validation"),
        ({"train": {"labels": [0, 1, -1, 0]}}, {}, "a label in column label of every row, .* none in train row 2"),
        ({"train": {"labels": [0] * 4}}, {}, r"at least two classes, but received images of one \(zebra\)"),
        ({"train": {}}, {"label": "kind"}, r"a column kind of type ClassLabel or Value, .* label \(ClassLabel\)"),
        ({"train": {}}, {"image": "label"}, "a column label of type Image or Value"),
        ({"train": {}}, {"group": "patient"}, "a column patient of type"),
        (
            {"train": {"patient": ["p", "q", "r", "s"]}, "test": {"patient": ["p", "x", "y", "z"]}},
            {"group": "patient"},
            "all images of a group in one split, but received 1 groups in several: p, for one, in train and test",
        ),
    ],
)
def test_an_error_has_one_message(saved, splits, options, words):
    folder = saved(**{name: rows(4, **content) for name, content in splits.items()})
    with pytest.raises(DataError, match=words) as caught:
        list_hugging_face(folder, **options)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("name", ["owner/name", "./photos"])
def test_without_the_library_the_message_explains_how_to_install_it(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        DataError, match=rf"{name}: .* not installed\. Install it: pip install 'triptych\[huggingface\]'"
    ):
        list_hugging_face(name)


def test_a_hub_that_does_not_answer_gives_one_message(monkeypatch):
    requested = []

    def unreachable(*arguments):
        requested.append(arguments)
        raise ConnectionError("Couldn't reach 'owner/name' on the Hub\nand a page of traces")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(
        DownloadError, match=r"owner/name: there is no such folder, and the hub .* \(ConnectionError: C"
    ) as caught:
        list_hugging_face("owner/name", subset="small")
    assert "\n" not in str(caught.value)
    assert requested == [("owner/name", "small")]


def test_folders_that_are_none_do_not_go_to_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: pytest.fail("the hub was contacted"))
    for path in (tmp_path / "nowhere", str(tmp_path / "nowhere"), "./nowhere", "~/nowhere at all"):
        with pytest.raises(DataError, match="nothing: there is no such folder"):
            list_hugging_face(path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="but received a file"):
        list_hugging_face(tmp_path / "file")


def test_a_damaged_folder_gives_one_message(saved):
    folder = saved(train=rows(4))
    next((folder / "train").glob("*.arrow")).write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"saved: the library datasets cannot read this folder \(.*\)\."):
        list_hugging_face(folder)
