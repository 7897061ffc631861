"""Images in, images out: the files of a folder, queries that are images, embeddings in Parquet, thresholds."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import triptych
from triptych.errors import DataError, SearchError
from triptych.search.adding import image_id
from triptych.search.calibration import Calibration, Rate
from triptych.search.contract import Index, Match
from triptych.search.images import add_images, build_index, calibrate_index, model_of, same, search_images
from triptych.search.opening import open_index
from triptych.search.picture import SIDE, search_picture


@pytest.fixture(scope="module")
def model(coloured_photos: Path) -> triptych.TrainedModel:
    return triptych.load(coloured_photos / "best.ckpt", device="cpu")


@pytest.fixture
def photos(coloured_photos: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(coloured_photos / "photos", tmp_path / "photos"))


@pytest.fixture
def index(model: triptych.TrainedModel, photos: Path, tmp_path: Path) -> Index:
    return build_index(model, photos, tmp_path / "photos.index")[0]


def test_every_image_of_a_folder_finds_itself_first(model: triptych.TrainedModel, index: Index, photos: Path) -> None:
    files = sorted(photos.rglob("*.png"))

    found = search_images(index, files, 3, model=model)

    assert [matches[0].id for matches in found] == [image_id(path) for path in files]
    assert all(matches[0].score == pytest.approx(1, abs=1e-5) for matches in found)
    expected = triptych.nearest(model.embed(files), k=1)
    assert [matches[1].id for matches in found] == [image_id(line[0] or "") for line in expected.paths]


def test_files_have_their_folder_as_label_and_what_the_model_predicts(
    model: triptych.TrainedModel, index: Index, photos: Path
) -> None:
    files = sorted(photos.rglob("*.png"))
    names, probabilities = model.classify(files)

    for path, name, probability in zip(files, names, probabilities.max(1), strict=True):
        ((one, *_),) = search_images(index, path, 1, model=model)
        assert one.metadata == {
            "path": image_id(path),
            "label": path.parent.name,
            "prediction": name,
            "probability": pytest.approx(float(probability), abs=1e-5),
        }


def test_filters_of_the_metadata_work_on_images(model: triptych.TrainedModel, index: Index, photos: Path) -> None:
    (found,) = search_images(index, photos / "cat" / "1.png", 24, where="label = 'dog'", model=model)

    assert len(found) == 12
    assert {one.metadata["label"] for one in found} == {"dog"}


def test_images_are_added_and_replaced_by_their_absolute_path(
    model: triptych.TrainedModel, index: Index, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos / "cat")
    Image.new("RGB", (9, 9), "red").save("1.png")

    report = add_images(index, model, "../cat")

    assert report.added == 12
    assert index.info().rows == 24
    assert search_images(index, Path("1.png"), 1, model=model)[0][0].score == pytest.approx(1, abs=1e-5)


def test_files_that_cannot_be_read_are_left_out_and_reported(
    model: triptych.TrainedModel, photos: Path, tmp_path: Path
) -> None:
    (photos / "cat" / "1.png").write_bytes(b"no image")
    whole = (photos / "dog" / "0.png").read_bytes()
    (photos / "dog" / "0.png").write_bytes(whole[: len(whole) // 2])
    no_text = photos / "dog" / os.fsdecode(b"caf\xe9.png")
    no_text.write_bytes(whole)

    index, report = build_index(model, photos, tmp_path / "i")

    assert index.info().rows == report.added == 22
    assert {path for path, _ in report.failures} == {photos / "cat" / "1.png", photos / "dog" / "0.png", no_text}
    assert all(reason for _, reason in report.failures)


def test_a_place_without_images_makes_no_index(model: triptych.TrainedModel, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    for place in ("missing", "empty"):
        with pytest.raises(DataError, match="expected"):
            build_index(model, tmp_path / place, tmp_path / "i")

    assert not (tmp_path / "i").exists()


# Models


@pytest.fixture
def other(coloured_photos: Path, tmp_path: Path) -> Path:
    """A model of the same form with other weights."""
    content = torch.load(coloured_photos / "best.ckpt", weights_only=True)
    content["state_dict"] = {name: value * 1.5 for name, value in content["state_dict"].items()}
    torch.save(content, tmp_path / "other.ckpt")
    return tmp_path / "other.ckpt"


def test_the_model_is_found_where_it_was(index: Index, model: triptych.TrainedModel, photos: Path) -> None:
    assert model_of(index).fingerprint == model.fingerprint
    assert search_images(index, photos / "cat" / "1.png", 1)[0][0].id == image_id(photos / "cat" / "1.png")


def test_another_model_is_rejected_and_both_are_named(
    index: Index, model: triptych.TrainedModel, other: Path, photos: Path
) -> None:
    fingerprint = triptych.load(other).fingerprint
    for action in (
        lambda: search_images(index, photos, model=other),
        lambda: add_images(index, triptych.load(other), photos),
    ):
        with pytest.raises(SearchError) as error:
            action()
        assert fingerprint in str(error.value)
        assert model.fingerprint in str(error.value)


def test_a_model_that_is_gone_has_to_be_named(model: triptych.TrainedModel, photos: Path, tmp_path: Path) -> None:
    moved = shutil.copy(str(model.path), tmp_path / "moved.ckpt")
    index, _ = build_index(triptych.load(moved), photos, tmp_path / "i")
    Path(moved).unlink()

    with pytest.raises(SearchError, match=r"moved\.ckpt, but there is none. Name the model"):
        model_of(index)


# Embeddings in files


def write_embeddings(model: triptych.TrainedModel, photos: Path, path: Path, *, fingerprint: str) -> None:
    embedded = model.embed(photos)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(embedded.vectors.reshape(-1)), model.embedding_dim)
    ids = [str(number) for number in range(len(embedded))]
    table = pa.table({"id": ids, "path": [str(one) for one in embedded.paths], "embedding": vectors})
    pq.write_table(table.replace_schema_metadata({"triptych.model_fingerprint": fingerprint}), path)


def test_embeddings_in_parquet_files_are_indexed_without_the_images(
    model: triptych.TrainedModel, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "parts").mkdir()
    write_embeddings(model, photos, tmp_path / "parts" / "0.parquet", fingerprint=model.fingerprint)

    index, report = build_index(model, tmp_path / "parts", tmp_path / "i")

    assert report.added == 24
    ((one,),) = search_images(index, photos / "dog" / "4.png", 1)
    assert one.metadata == {"path": str(photos / "dog" / "4.png")}


def test_embeddings_of_another_model_are_rejected(model: triptych.TrainedModel, photos: Path, tmp_path: Path) -> None:
    write_embeddings(model, photos, tmp_path / "e.parquet", fingerprint="0a" * 32)

    with pytest.raises(SearchError, match=f"{'0a' * 32}.*{model.fingerprint}"):
        build_index(model, tmp_path / "e.parquet", tmp_path / "i")


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", None])
def test_parquet_files_of_something_else_are_an_error(
    model: triptych.TrainedModel, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "t.parquet"
    if content is None:
        pq.write_table(pa.table({"path": ["a"]}), path)
    else:
        path.write_bytes(content)

    with pytest.raises(DataError, match="expected embeddings as `triptych embed` writes them"):
        build_index(model, path, tmp_path / "i")


# The threshold


def test_a_threshold_is_chosen_on_the_images_of_the_run(
    make_checkpoint: Callable[..., dict[str, Any]], photos: Path, tmp_path: Path
) -> None:
    content = make_checkpoint(classes=list("01234567"))
    content["hyper_parameters"]["config"]["evaluation"]["holdout_classes"] = [8, 9]
    torch.save(content, tmp_path / "digits.ckpt")
    index, _ = build_index(triptych.load(tmp_path / "digits.ckpt"), photos, tmp_path / "i")

    found = calibrate_index(index, false_match_rate=0.05)

    assert index.settings().calibration == found
    assert 0.02 < found.known.share < 0.09
    assert found.known.low < 0.05 < found.known.high + 0.03
    assert found.held_out is not None
    assert found.true_matches is not None
    assert found.true_matches > found.known.share


def test_two_images_are_compared_by_the_threshold(index: Index, photos: Path, model: triptych.TrainedModel) -> None:
    cat, dog = photos / "cat" / "1.png", photos / "dog" / "0.png"
    with pytest.raises(SearchError, match="triptych index calibrate"):
        same(cat, dog, index=index)
    vectors = model.embed([cat, dog]).vectors
    similarity = float(vectors[0] @ vectors[1])
    rate = Rate(share=0.01, low=0, high=0.02, pairs=100, over="images")

    for threshold, answer in ((similarity - 0.001, True), (similarity + 0.001, False)):
        index.set_calibration(Calibration(threshold=threshold, requested=0.01, known=rate))
        found = triptych.same(cat, np.asarray(Image.open(dog)), index=index)
        assert bool(found) is found.same is answer
        assert found.similarity == pytest.approx(similarity, abs=1e-5)
        assert found.threshold == threshold
    index.set_calibration(Calibration(threshold=0.999, requested=0.01, known=rate))
    assert same(cat, cat, index=open_index(index.info().location))


@pytest.mark.parametrize("place", [None, 5, b"photos.index"])
def test_what_is_no_place_of_an_index_is_named(place: object, photos: Path) -> None:
    with pytest.raises(TypeError, match=f"an index is opened by its folder or its URLs.*{type(place).__name__}"):
        same(photos, photos, index=place)  # type: ignore[arg-type] # the mistake


def test_what_is_no_model_is_named(index: Index) -> None:
    with pytest.raises(TypeError, match=r"what triptych\.load returns, but got int"):
        model_of(index, 3)  # type: ignore[arg-type] # the mistake


def test_a_folder_is_not_one_of_two_images(index: Index, photos: Path) -> None:
    rate = Rate(share=0.01, low=0, high=0.02, pairs=100, over="images")
    index.set_calibration(Calibration(threshold=0.5, requested=0.01, known=rate))

    with pytest.raises(SearchError, match="two single images, got 24 and 1"):
        same(photos, photos / "cat" / "1.png", index=index)


# The picture


def test_the_picture_shows_the_query_and_every_match(photos: Path) -> None:
    for colour, name in (("red", "query"), ("lime", "near"), ("blue", "far")):
        Image.new("RGB", (8, 8), colour).save(photos / f"{name}.png")
    near, far, gone = (str(photos / f"{name}.png") for name in ("near", "far", "gone"))
    matches = [
        Match(near, 0.91, {"path": near, "label": "cat\x1b[31m"}, True),
        Match(far, 0.2, {"label": "x" * 100}, False),
        Match(gone, 0.1, {}, False),
    ]

    picture = search_picture(photos / "query.png", matches)

    counts = {colour: count for count, colour in picture.getcolors(2**24)}
    assert counts[255, 0, 0] == SIDE**2
    assert counts[0, 255, 0] == SIDE**2
    assert SIDE**2 - 200 < counts[0, 0, 255] < SIDE**2  # crossed out
    assert picture.width > 6 * SIDE
    assert search_picture(photos / "query.png", []).height > SIDE


def test_a_query_that_is_no_image_has_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")

    with pytest.raises(SearchError, match="expected an image"):
        search_picture(tmp_path / "x.png", [])
