"""CIFAR-10 from its makers' files: folders and archives, pickled and binary, whole and damaged in every way."""

import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from triptych.data.known import cifar
from triptych.data.known.reading import Reading
from triptych.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
READING = Reading(shape=(3, 32, 32), classes=CLASSES)
NAMES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")

LAYOUTS = {
    "python folder": (cifar.find_python_folder, cifar.read_python, "cifar-10-batches-py"),
    "python archive": (cifar.find_python_archive, cifar.read_python, "cifar-10-python.tar.gz"),
    "binary folder": (cifar.find_binary_folder, cifar.read_binary, "cifar-10-batches-bin"),
    "binary archive": (cifar.find_binary_archive, cifar.read_binary, "cifar-10-binary.tar.gz"),
}


def batches(rows: int = 4) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Make six batches of pixels (N, 3, 32, 32) and labels."""
    random = np.random.default_rng(0)
    return {
        name: (random.integers(0, 256, (rows, 3, 32, 32), np.uint8), [(index + row) % 10 for row in range(rows)])
        for index, name in enumerate(NAMES)
    }


def files(layout: str, *, protocol: int = 2) -> dict[str, bytes]:
    """Write the batches and the class table in the form of a layout."""
    if "python" in layout:
        table = {"label_names": list(CLASSES), "num_vis": 3072, "num_cases_per_batch": 4}
        return {"batches.meta": pickle.dumps(table, protocol)} | {
            name: pickle.dumps({"data": images.reshape(-1, 3072), "labels": labels, "batch_label": name}, protocol)
            for name, (images, labels) in batches().items()
        }
    return {"batches.meta.txt": "\n".join((*CLASSES, "", "")).encode()} | {
        f"{name}.bin": b"".join(bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True))
        for name, (images, labels) in batches().items()
    }


def make(folder: Path, layout: str, content: dict[str, bytes]) -> None:
    """Put files into a folder, or into an archive, as the layout wants them."""
    name = LAYOUTS[layout][2]
    if "folder" in layout:
        (folder / name).mkdir(parents=True)
        for file, data in content.items():
            (folder / name / file).write_bytes(data)
        return
    with tarfile.open(folder / name, "w:gz") as tar:
        for file, data in content.items():
            member = tarfile.TarInfo(f"cifar-10-batches/{file}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_images_and_labels_that_were_written(tmp_path, layout):
    find, read, name = LAYOUTS[layout]
    make(tmp_path, layout, files(layout))
    found = find(tmp_path)
    assert found == tmp_path / name
    train, test = read(found, READING)
    written = batches()
    for split, names in ((train, NAMES[:5]), (test, NAMES[5:])):
        assert (split.images.numpy() == np.concatenate([written[name][0] for name in names])).all()
        assert split.labels.tolist() == [label for name in names for label in written[name][1]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_without_a_layout_holds_nothing(tmp_path, layout):
    assert LAYOUTS[layout][0](tmp_path) is None


@pytest.mark.parametrize("layout", ["python folder", "binary folder"])
def test_the_folder_of_the_batches_may_be_named_itself(tmp_path, layout):
    find, _, name = LAYOUTS[layout]
    make(tmp_path, layout, files(layout))
    assert find(tmp_path / name) == tmp_path / name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_class_table_may_be_missing(tmp_path, layout):
    find, read, _ = LAYOUTS[layout]
    make(tmp_path, layout, {name: data for name, data in files(layout).items() if "meta" not in name})
    assert len(read(find(tmp_path), READING)[0]) == 20


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_batches_of_any_pickle_protocol_with_keys_of_bytes_are_read(tmp_path, protocol):
    content = {
        name: pickle.dumps({key.encode(): value for key, value in pickle.loads(data).items()}, protocol)
        for name, data in files("python folder").items()
    }
    make(tmp_path, "python folder", content)
    assert len(cifar.read_python(cifar.find_python_folder(tmp_path), READING)[0]) == 20


def test_nothing_of_an_archive_is_written_to_the_disk(tmp_path, monkeypatch):
    make(tmp_path, "python archive", {**files("python archive"), "../../escaped": b"x"})
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.parent.rglob("*"))
    cifar.read_python(tmp_path / "cifar-10-python.tar.gz", READING)
    assert sorted(tmp_path.parent.rglob("*")) == before


class Attack:
    """Pickles as a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("layout", ["python folder", "python archive"])
def test_a_batch_with_code_in_it_is_rejected_and_the_code_does_not_run(tmp_path, layout):
    find, read, name = LAYOUTS[layout]
    trace = tmp_path / "it ran"
    attack = pickle.dumps({"data": Attack(f"touch '{trace}'"), "labels": []})
    make(tmp_path, layout, files(layout) | {"data_batch_2": attack})
    with pytest.raises(DataError, match=r"\.system, which could run code") as caught:
        read(find(tmp_path), READING)
    assert str(tmp_path / name / "data_batch_2") in str(caught.value)
    assert not trace.exists()


def pickled(**changes: object) -> bytes:
    """Write one batch with something else under a key, or without a key."""
    batch = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]} | changes
    return pickle.dumps({key: value for key, value in batch.items() if value is not None})


PYTHON_FAULTS = {
    "empty": ("test_batch", b"", "an empty file"),
    "cut off": ("data_batch_3", pickled()[:-100], "a pickle of arrays, but received a damaged one"),
    "a list": ("data_batch_1", pickle.dumps([1]), "a dictionary, but received a list"),
    "no labels": ("data_batch_1", pickled(labels=None), "one without labels"),
    "no data": ("data_batch_1", pickled(data=None), "one without data"),
    "data of floats": ("data_batch_1", pickled(data=np.zeros((2, 3072))), "'data' of uint8.*received float64"),
    "data that is no array": ("data_batch_1", pickled(data=[1, 2]), "an array under 'data', but received a list"),
    "other image size": ("data_batch_5", pickled(data=np.zeros((2, 784), np.uint8)), r"\(N, 3072\).*\(2, 784\)"),
    "image cube": ("data_batch_5", pickled(data=np.zeros((2, 3, 1024), np.uint8)), r"\(2, 3, 1024\)"),
    "too few labels": ("data_batch_1", pickled(labels=[1]), "each of the 2 images, but received 1"),
    "label out of range": ("test_batch", pickled(labels=[1, 10]), "label 10 for image 1"),
    "label beyond 64 bits": ("test_batch", pickled(labels=[1, 2**70]), f"label {2**70} for image 1"),
    "labels of text": ("test_batch", pickled(labels=["cat", "dog"]), "integers under 'labels'"),
    "fine labels only": ("test_batch", pickled(labels=None, fine_labels=[1, 2]), "one without labels"),
    "another class table": (
        "batches.meta",
        pickle.dumps({"label_names": list(reversed(CLASSES))}),
        r"the class table \['airplane'.*received \['truck'",
    ),
    "a class table of nothing": ("batches.meta", pickle.dumps({}), "one without label_names"),
}
BINARY_FAULTS = {
    "empty": ("test_batch.bin", b"", "an empty file"),
    "cut off": ("data_batch_2.bin", bytes(3 * 3073 - 1), "whole records of 3,073 bytes, but received 9,218"),
    "of CIFAR-100": ("data_batch_2.bin", bytes(3074), "another format"),
    "label out of range": ("data_batch_4.bin", bytes(3073) + b"\x0b" + bytes(3072), "label 11 for image 1"),
    "another class table": ("batches.meta.txt", b"apple\npear\n", r"the class table .*received \['apple', 'pear'\]"),
}


@pytest.mark.parametrize("place", ["folder", "archive"])
@pytest.mark.parametrize(
    ("kind", "fault"),
    [*(("python", fault) for fault in PYTHON_FAULTS), *(("binary", fault) for fault in BINARY_FAULTS)],
)
def test_an_invalid_batch_gives_one_message_that_names_it(tmp_path, kind, fault, place):
    name, content, words = (PYTHON_FAULTS if kind == "python" else BINARY_FAULTS)[fault]
    layout = f"{kind} {place}"
    find, read, folder = LAYOUTS[layout]
    make(tmp_path, layout, files(layout) | {name: content})
    with pytest.raises(DataError, match=words) as caught:
        read(find(tmp_path), READING)
    assert str(tmp_path / folder / name) in str(caught.value)
    assert "Put a whole copy in its place" in str(caught.value)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_missing_batch_is_named_instead_of_training_on_the_others(tmp_path, layout):
    find, read, name = LAYOUTS[layout]
    make(tmp_path, layout, {file: data for file, data in files(layout).items() if not file.startswith("data_batch_3")})
    with pytest.raises(DataError, match="received none of the name data_batch_3") as caught:
        read(find(tmp_path), READING)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("layout", ["python folder", "binary folder"])
def test_a_folder_in_place_of_a_batch_is_named(tmp_path, layout):
    find, read, name = LAYOUTS[layout]
    make(tmp_path, layout, files(layout))
    batch = next((tmp_path / name).glob("test_batch*"))
    batch.unlink()
    batch.mkdir()
    with pytest.raises(DataError, match=rf"{batch.name}: .*a folder of that name"):
        read(find(tmp_path), READING)


@pytest.mark.parametrize("layout", ["python archive", "binary archive"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: b"", "cannot be read"),
        (lambda content: content[:-2000], "cut off|cannot be read"),
        (lambda content: b"<html>gone</html>", "cannot be read"),
        (lambda content: content[:5000] + bytes(50) + content[5050:], "cut off|cannot be read"),
    ],
    ids=["empty", "cut off", "web page", "bytes changed"],
)
def test_an_invalid_archive_gives_one_message_that_names_it(tmp_path, layout, damage, words):
    find, read, name = LAYOUTS[layout]
    make(tmp_path, layout, files(layout))
    path = tmp_path / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=words) as caught:
        read(find(tmp_path), READING)
    assert str(path) in str(caught.value)


def test_a_folder_in_place_of_an_archive_is_named(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").mkdir()
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz: .*a folder of that name"):
        cifar.read_python(cifar.find_python_archive(tmp_path), READING)


def test_an_archive_that_unpacks_to_gigabytes_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "MOST", 100_000)
    make(tmp_path, "python archive", files("python archive") | {"README": bytes(200_000)})
    with pytest.raises(DataError, match="it unpacks to more than 100,000 bytes"):
        cifar.read_python(tmp_path / "cifar-10-python.tar.gz", READING)


def test_a_batch_that_is_a_pipe_is_not_waited_for(tmp_path):
    make(tmp_path, "python folder", files("python folder"))
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    batch.unlink()
    os.mkfifo(batch)
    with pytest.raises(DataError, match=r"data_batch_2: .* received a pipe, socket or device"):
        cifar.read_python(tmp_path / "cifar-10-batches-py", READING)
