from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.data.own.folder import list_folder
from triptych.errors import DataError
from triptych.inspection.survey import sample_by_class, survey


def photographs(folder: Path, counts: dict[str, int], size: tuple[int, int] = (20, 30)) -> Path:
    random = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(folder / name / f"{number}.png")
    return folder


def test_sizes_channels_and_unreadable_files_are_reported(tmp_path: Path) -> None:
    root = photographs(tmp_path, {"cat": 6, "dog": 6})
    (root / "cat" / "bad.jpg").write_text("no image")
    Image.new("L", (20, 20)).save(root / "dog" / "grey.png")

    seen = survey(list_folder(root), threads=2)

    assert seen.images == 14
    assert sorted(set(seen.sizes)) == [(20, 20), (20, 30)]
    assert seen.channels == 3
    assert list(seen.unreadable) == ["cat/bad.jpg"]
    assert "none of JPEG" in seen.unreadable["cat/bad.jpg"]


def test_coloured_files_without_colour_are_grey(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (16, 16), (50, 50, 50)).save(tmp_path / name / "1.png")

    assert survey(list_folder(tmp_path)).channels == 1


def test_images_of_which_none_can_be_decoded_are_an_error(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_text("no image")

    with pytest.raises(DataError, match="2 files of which none could be decoded"):
        survey(list_folder(tmp_path))


@pytest.mark.parametrize("most", [1, 2, 3, 7, 20, 100])
def test_every_class_gives_as_many_as_it_can(most: int) -> None:
    labels = torch.tensor([0] * 30 + [1] * 3 + [2] * 10)

    chosen = sample_by_class(labels, most)

    assert len(chosen) == len(set(chosen)) == min(most, 43)
    assert chosen == sorted(chosen)
    counts = torch.bincount(labels[chosen], minlength=3).tolist()
    # What a class cannot give, the larger ones do: no class has two fewer than another unless it gave all.
    for label, (count, size) in enumerate(zip(counts, (30, 3, 10), strict=True)):
        assert count == size or count >= max(counts) - 1, label


def test_the_sample_is_spread_over_each_class() -> None:
    assert sample_by_class(torch.zeros(100, dtype=torch.int64), 4) == [0, 25, 50, 75]
