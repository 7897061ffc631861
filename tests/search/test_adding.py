"""What is not to be added is rejected before an index is made or changed."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import triptych
from triptych.artefacts.embedding import embed_images
from triptych.errors import DataError, SearchError
from triptych.search.images import add_images, build_index


@pytest.fixture(scope="module")
def model(coloured_photos: Path) -> triptych.TrainedModel:
    return triptych.load(coloured_photos / "best.ckpt", device="cpu")


@pytest.fixture(scope="module")
def embedded(model: triptych.TrainedModel, coloured_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete job of three parts."""
    folder = tmp_path_factory.mktemp("embedded") / "out"
    embed_images(model, coloured_photos / "photos", folder, shard_size=10)
    return folder


@pytest.fixture
def job(embedded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(embedded, tmp_path / "job"))


@pytest.fixture
def other(model: triptych.TrainedModel, coloured_photos: Path, tmp_path: Path) -> triptych.TrainedModel:
    """A model of the same form with other weights."""
    content = torch.load(coloured_photos / "best.ckpt", weights_only=True)
    content["state_dict"] = {name: value * 1.5 for name, value in content["state_dict"].items()}
    torch.save(content, tmp_path / "other.ckpt")
    return triptych.load(tmp_path / "other.ckpt", device="cpu")


def test_embeddings_of_another_model_make_no_index(job: Path, other: triptych.TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="come from the model"):
        build_index(other, job, tmp_path / "i")
    assert not (tmp_path / "i").exists()


def test_one_damaged_file_of_many_makes_no_index_and_changes_none(
    job: Path, model: triptych.TrainedModel, tmp_path: Path
) -> None:
    index, _ = build_index(model, job / "part-00000-of-00003.parquet", tmp_path / "i")
    last = job / "part-00002-of-00003.parquet"
    last.write_bytes(last.read_bytes()[:-50])

    with pytest.raises(DataError, match="part-00002-of-00003"):
        build_index(model, job, tmp_path / "j")
    with pytest.raises(DataError, match="part-00002-of-00003"):
        add_images(index, model, job)

    assert not (tmp_path / "j").exists()
    assert index.info().rows == 10


def test_a_job_that_is_not_complete_is_not_indexed_without_a_message(
    job: Path, model: triptych.TrainedModel, tmp_path: Path
) -> None:
    (job / "_SUCCESS").unlink()
    (job / "part-00001-of-00003.parquet").unlink()

    with pytest.raises(DataError, match="has not completed it"):
        build_index(model, job, tmp_path / "i")
    assert not (tmp_path / "i").exists()

    _, report = build_index(model, job / "part-00000-of-00003.parquet", tmp_path / "i")
    assert report.added == 10


def test_a_folder_of_images_may_have_a_table_beside_them(
    model: triptych.TrainedModel, coloured_photos: Path, tmp_path: Path
) -> None:
    photos = Path(shutil.copytree(coloured_photos / "photos", tmp_path / "photos"))
    pq.write_table(pa.table({"path": ["cat/1.png"], "label": ["cat"]}), photos / "labels.parquet")

    _, report = build_index(model, photos, tmp_path / "i")

    assert report.added == 24
