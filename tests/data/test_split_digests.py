"""The splits that configs get, fixed by digests: a run of a later version trains and tests on the same images."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from triptych.config import load_config
from triptych.config.schema import RunConfig
from triptych.data.builder import open_images
from triptych.data.module import ImageDataModule

CONFIGS = Path(__file__).parents[2] / "configs"
REAL = Path(__file__).parents[3] / "shared" / "data"
SPLITS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def digest(*parts: bytes) -> str:
    return hashlib.blake2b(b"".join(parts), digest_size=6).hexdigest()


def digests(config: RunConfig) -> list[str]:
    """Of each split: the number of images, and a digest of names (or positions), labels and pixels, in their order."""
    data = ImageDataModule(*open_images(config))
    found = []
    for split in SPLITS:
        images = getattr(data, split)
        named = data.positions[split].tolist() if images.names is None else images.names
        parts = (
            "\n".join(map(str, named)).encode(),
            images.labels.numpy().tobytes(),
            images.images[:].numpy().tobytes(),
        )
        found.append(f"{len(images)} {digest(*parts)}")
    return found


@pytest.mark.parametrize(
    ("config", "folder", "expected"),
    [
        ("digits", None, ["1078 e84210a81594", "359 864910c301ac", "360 610884e1219f"]),
        ("mnist", "MNIST", ["58800 6e788a206bc2", "1200 23128a898e4c", "10000 fa275dae0216"]),
        ("fashionmnist", "FashionMNIST", ["58800 ea16fc178971", "1200 cf7ba60c6a8e", "10000 63e06139cc66"]),
        ("cifar10", "cifar10-jpeg", ["49000 44e6a43772c2", "1000 4ea432628162", "10000 a13f1367cd21"]),
    ],
)
def test_shipped_configs_keep_their_splits(config, folder, expected, monkeypatch):
    if folder and not (REAL / folder).exists():
        pytest.skip(f"no copy of {folder}")
    monkeypatch.setenv("TRIPTYCH_DATA", str(REAL))

    assert digests(load_config(CONFIGS / f"{config}.yaml")) == expected


def images_of(kind: int, count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(kind)
    return [generator.integers(0, 256, (12, 10 + number % 5, 3), dtype=np.uint8) for number in range(count)]


def folder(root: Path) -> Path:
    for kind, name in enumerate(("cat", "dog", "Zebra 10", "zebra 9")):
        (root / name).mkdir(parents=True)
        for number, pixels in enumerate(images_of(kind, 8 + 7 * kind)):
            Image.fromarray(pixels).save(root / name / f"img{number}.png")
    return root


def folder_with_test(root: Path) -> Path:
    folder(root / "train")
    (root / "train").rename(root / "Train")
    folder(root / "test")
    return root


def rows(root: Path) -> list[tuple[str, str, str, str]]:
    """Images of a folder as rows of path, label, split and group; groups of one to four images, some without."""
    paths = sorted(path.relative_to(root).as_posix() for path in folder(root).rglob("*.png"))
    groups = np.random.default_rng(0).integers(-4, 25, len(paths))
    return [
        (path, path.split("/")[0], "test" if number % 9 == 0 else "train", f"patient {group}" if group >= 0 else "")
        for number, (path, group) in enumerate(zip(paths, groups, strict=True))
    ]


def table(root: Path, *columns: int) -> Path:
    names = [("path", "label", "split", "group")[column] for column in columns]
    content = [[row[column] for column in columns] for row in rows(root)]
    with (root / "images.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *content])
    return root / "images.csv"


def parquet(root: Path) -> Path:
    given = rows(root)
    pyarrow.parquet.write_table(
        pyarrow.table(
            {
                "image": [{"bytes": (root / row[0]).read_bytes(), "path": None} for row in given],
                "label": [ord(row[1][0]) for row in given],
            }
        ),
        root / "images.parquet",
    )
    return root / "images.parquet"


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        ("folder", folder, ["52 8ea290deed58", "7 fec044ac306a", "15 f8bfea0e8e6d"]),
        ("folder", folder_with_test, ["67 cfa6f1c6f2dc", "7 29b5eb4add25", "74 b3e293e21c77"]),
        ("table", lambda root: table(root, 0, 1), ["52 fea7a0592548", "7 cf3cbc5055d2", "15 7d72a1ca0285"]),
        ("table", lambda root: table(root, 0, 1, 2), ["59 3d59db8af70e", "6 e71866f44cc6", "9 4582bae7bc7c"]),
        ("table", lambda root: table(root, 0, 1, 3), ["50 33cb022158f3", "9 d8b8957a9d5c", "15 2d16bde2dcf2"]),
        ("table", parquet, ["52 214ba7397213", "7 86cc5f02847d", "15 2dd4102a5648"]),
    ],
    ids=["folder", "folder with test", "table", "table with splits", "table with groups", "encoded images"],
)
def test_own_images_keep_their_splits(name, make, expected, tmp_path):
    place = make(tmp_path / "images")
    config = {"dataset": {"name": name, "root": str(place), "image_size": 16, "test_fraction": 0.2}}

    assert digests(RunConfig.model_validate(config)) == expected
