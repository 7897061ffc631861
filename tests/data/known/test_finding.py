"""Data sets by name: the table keeps its promises, files are found in order, and what is missing is downloaded."""

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.config.datasets import KNOWN_DATASETS
from triptych.data.builder import load_dataset
from triptych.data.known.finding import LAYOUTS, list_known
from triptych.data.known.locate import cache_folder
from triptych.data.listing import TRAIN
from triptych.data.pixels.decoding import decode
from triptych.errors import DataError, DownloadError

REAL = Path(__file__).parents[4] / "shared" / "data"
STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch, tmp_path):
    """Use neither the folders nor the cache of the user who runs the tests."""
    monkeypatch.delenv("TRIPTYCH_DATA", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "user-cache" / name)


def idx_files(*, shade: int = 0, rows: int = 20) -> dict[str, bytes]:
    """Make a small MNIST whose images are all of one shade, by which a test knows it again."""
    files = {}
    for stem in STEMS:
        values = np.full((rows, 28, 28), shade) if "images" in stem else np.arange(rows) % 10
        header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
        files[f"{stem}.gz"] = gzip.compress(header + values.astype(np.uint8).tobytes(), mtime=0)
    return files


def put(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def cifar_batches(*, shade: int = 0) -> dict[str, bytes]:
    """Make the six pickled batches of a small CIFAR-10."""
    batch = pickle.dumps({"data": np.full((10, 3072), shade, np.uint8), "labels": list(range(10))}, 2)
    return dict.fromkeys((*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"), batch)


def cifar_parquet(*, shade: int = 0) -> dict[str, bytes]:
    """Make the two Parquet files of a small CIFAR-10."""
    import pyarrow
    import pyarrow.parquet

    image = io.BytesIO()
    Image.new("RGB", (32, 32), (shade,) * 3).save(image, "PNG")
    table = pyarrow.table({"img": [{"bytes": image.getvalue(), "path": ""}] * 10, "label": list(range(10))})
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    return {"train.parquet": stream.getvalue(), "test.parquet": stream.getvalue()}


def shade_of(listing) -> int:
    """The one shade of a listing's training images."""
    if isinstance(listing.sources, torch.Tensor):
        (shade,) = listing.sources[listing.split == TRAIN].unique().tolist()
        return shade
    return int(decode(listing.sources[0]).max())


def offline(name: str, **changes):
    """A source of the table that has no mirrors and no system's copy."""
    return replace(KNOWN_DATASETS[name], mirrors=(), **({"system": ()} | changes))


# The contract of every row of the table.


@pytest.mark.parametrize("name", KNOWN_DATASETS)
def test_every_data_set_has_classes_and_a_way_to_be_read(name):
    dataset = KNOWN_DATASETS[name]
    assert len(set(dataset.classes)) == len(dataset.classes) == 10
    assert dataset.title
    has_files = [bool(given) for given in (LAYOUTS[dataset.reader], dataset.folders, dataset.files, dataset.mirrors)]
    assert has_files == [name != "digits"] * 4


@pytest.mark.parametrize("name", [name for name, source in KNOWN_DATASETS.items() if source.files])
def test_every_download_has_several_mirrors_and_a_checksum(name):
    source = KNOWN_DATASETS[name]
    assert len(set(source.mirrors)) >= 2
    assert all(mirror.startswith(("http://", "https://")) and mirror.endswith("/") for mirror in source.mirrors)
    assert all(len(bytes.fromhex(md5)) == 16 for md5 in source.files.values())


@pytest.mark.parametrize("name", KNOWN_DATASETS)
def test_every_data_set_is_read_as_tensors_of_its_shape(name, tmp_path, monkeypatch):
    put(tmp_path / "MNIST" / "raw", idx_files())
    put(tmp_path / "FashionMNIST" / "raw", idx_files())
    put(tmp_path / "cifar10-jpeg", cifar_parquet())
    real = REAL.is_dir() and name != "cifar10"  # whose real files take long to decode: tests/data/test_parquet.py
    monkeypatch.setenv("TRIPTYCH_DATA", str(REAL if real else tmp_path))
    data = load_dataset(name)
    for split in (data.train, data.test):
        assert split.images.dtype == torch.uint8
        assert split.images.shape == (len(split), *KNOWN_DATASETS[name].shape)
        assert split.labels.dtype == torch.int64
        assert split.labels.unique().tolist() == list(range(10))
    assert data.classes == KNOWN_DATASETS[name].classes
    assert data.origin


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="one of digits, mnist, fashionmnist, cifar10, but is 'imagenet'"):
        load_dataset("imagenet")


# Where copies are found.


def test_the_order_is_root_then_the_variable_then_the_system_then_the_cache(tmp_path, monkeypatch):
    folders = {
        1: tmp_path / "root" / "MNIST" / "raw",
        2: tmp_path / "first" / "MNIST" / "raw",
        3: tmp_path / "second",
        4: tmp_path / "system",
        5: cache_folder() / "MNIST" / "raw",
    }
    for shade, folder in folders.items():
        put(folder, idx_files(shade=shade))
    monkeypatch.setenv("TRIPTYCH_DATA", os.pathsep.join([str(tmp_path / "first"), str(tmp_path / "second")]))
    source = offline("mnist", system=(str(tmp_path / "system"),))
    origins = {1: "(root)", 2: "(TRIPTYCH_DATA)", 3: "(TRIPTYCH_DATA)", 4: "(system)", 5: "user-cache"}
    for shade, folder in folders.items():
        data = list_known(source, root=tmp_path / "root")
        assert shade_of(data) == shade
        assert str(folder) in data.origin
        assert origins[shade] in data.origin
        for file in folder.iterdir():
            file.unlink()
    with pytest.raises(DownloadError):
        list_known(source, root=tmp_path / "root")


@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("mnist", "MNIST/raw"),
        ("mnist", "mnist"),
        ("mnist", "raw"),
        ("mnist", "."),
        ("fashionmnist", "FashionMNIST/raw"),
        ("fashionmnist", "fashion-mnist"),
        ("fashionmnist", "."),
    ],
)
def test_idx_files_are_found_in_the_usual_folders(tmp_path, name, below):
    put(tmp_path / below, idx_files(shade=9))
    assert shade_of(list_known(offline(name), root=tmp_path)) == 9


@pytest.mark.parametrize("below", [".", "cifar10", "cifar-10", "cifar10-jpeg"])
@pytest.mark.parametrize("layout", ["folder", "archive", "parquet"])
def test_cifar10_is_found_in_the_usual_folders(tmp_path, below, layout):
    place = tmp_path / below
    if layout == "folder":
        put(place / "cifar-10-batches-py", cifar_batches(shade=9))
    elif layout == "archive":
        put(place, {"cifar-10-python.tar.gz": archive(cifar_batches(shade=9))})
    else:
        put(place / "data", cifar_parquet(shade=9))
    assert shade_of(list_known(offline("cifar10"), root=str(tmp_path))) == 9


def test_the_original_cifar10_is_preferred_to_a_copy_in_parquet(tmp_path):
    put(tmp_path / "cifar10-jpeg", cifar_parquet(shade=1))
    put(tmp_path / "cifar-10-batches-py", cifar_batches(shade=2))
    assert shade_of(list_known(offline("cifar10"), root=tmp_path)) == 2


@pytest.mark.parametrize(
    ("wanted", "root", "folder"),
    [
        ("mnist", "FashionMNIST/raw", "FashionMNIST/raw"),
        ("mnist", "FashionMNIST", "FashionMNIST/raw"),
        ("mnist", "fashion-mnist", "fashion-mnist"),
        ("fashionmnist", "MNIST/raw", "MNIST/raw"),
    ],
)
def test_mnist_and_fashion_mnist_with_the_same_file_names_are_distinguished(tmp_path, wanted, root, folder):
    put(tmp_path / folder, idx_files())
    with pytest.raises(DownloadError, match="was not found"):
        list_known(offline(wanted), root=tmp_path / root)


def test_a_copy_that_lacks_a_file_is_reported_instead_of_passed_over(tmp_path):
    files = idx_files()
    files.pop(f"{STEMS[3]}.gz")
    put(tmp_path / "MNIST" / "raw", files)
    with pytest.raises(DataError, match=f"{STEMS[3]}.gz: .*no such file"):
        list_known(offline("mnist"), root=tmp_path)


@pytest.mark.parametrize(("part", "stems"), [("training", STEMS[:2]), ("test", STEMS[2:])])
def test_a_data_set_without_training_or_test_images_is_rejected(tmp_path, part, stems):
    empty = {name: content for name, content in idx_files(rows=0).items() if name.removesuffix(".gz") in stems}
    put(tmp_path, idx_files() | empty)
    with pytest.raises(DataError, match=f"MNIST, read from .*: expected {part} images, but received none"):
        list_known(offline("mnist"), root=tmp_path)


def test_without_files_and_network_one_message_lists_the_places_and_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    source = replace(
        KNOWN_DATASETS["fashionmnist"], system=("/nowhere/fashion-mnist",), mirrors=("http://127.0.0.1:1/",)
    )
    with pytest.raises(DownloadError) as caught:
        list_known(source, root="/nowhere/mine")
    message = str(caught.value)
    for words in (
        "Fashion-MNIST was not found and could not be downloaded",
        f"root: {Path('/nowhere/mine')} (no such folder)",
        f"TRIPTYCH_DATA: {tmp_path}\n",
        f"system: {Path('/nowhere/fashion-mnist')} (no such folder)",
        f"cache: {cache_folder()}",
        "http://127.0.0.1:1/train-images-idx3-ubyte.gz: Connection refused",
        "Put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte",
        f"into {cache_folder() / 'FashionMNIST' / 'raw'}",
        "configs/digits.yaml needs no files and no network",
    ):
        assert words in message


def test_a_variable_that_is_not_set_is_named_too():
    with pytest.raises(DownloadError, match="TRIPTYCH_DATA: not set"):
        list_known(offline("mnist"))


# Downloads.


def archive(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def served(tmp_path):
    """Serve files over HTTP: the source that downloads them, and the requested paths."""
    requested: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_) -> None:
            pass

        def do_GET(self) -> None:
            requested.append(self.path.removeprefix("/"))
            super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "served")))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def source(name: str, files: dict[str, bytes]):
        put(tmp_path / "served", files)
        listed = {file: hashlib.md5(content).hexdigest() for file, content in files.items()}
        return replace(offline(name, files=listed), mirrors=(f"http://127.0.0.1:{server.server_port}/",))

    yield source, requested
    server.shutdown()
    server.server_close()


def test_a_data_set_is_downloaded_once_and_then_read_from_the_cache(served):
    make, requested = served
    source = make("mnist", idx_files(shade=7))
    first = list_known(source, root="/nowhere")
    assert shade_of(first) == 7
    assert requested == [f"{stem}.gz" for stem in STEMS]
    assert first.origin == f"downloaded to {cache_folder() / 'MNIST' / 'raw'}"
    assert shade_of(list_known(source)) == 7
    assert len(requested) == 4


def test_a_download_that_was_interrupted_between_two_files_is_completed(served):
    make, requested = served
    source = make("mnist", idx_files(shade=7))
    put(cache_folder() / "MNIST" / "raw", dict(list(idx_files(shade=7).items())[:2]))
    assert shade_of(list_known(source)) == 7
    assert requested == [f"{stem}.gz" for stem in STEMS[2:]]


def test_the_archive_of_cifar10_is_downloaded_and_read_without_unpacking_it(served):
    make, _ = served
    source = make("cifar10", {"cifar-10-python.tar.gz": archive(cifar_batches(shade=5))})
    assert shade_of(list_known(source)) == 5
    assert [path.name for path in cache_folder().iterdir() if not path.name.startswith(".")] == [
        "cifar-10-python.tar.gz"
    ]


def test_any_layout_that_was_put_into_the_cache_by_hand_is_read(served):
    make, requested = served
    source = make("cifar10", {"cifar-10-python.tar.gz": archive(cifar_batches())})
    put(cache_folder() / "cifar-10-batches-py", cifar_batches(shade=8))
    data = list_known(source)
    assert shade_of(data) == 8
    assert data.origin.endswith("(cache)")
    assert requested == []
