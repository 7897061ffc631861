import hashlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from torch.utils.tensorboard import SummaryWriter

from triptych.evaluation.report import tensorboard
from triptych.evaluation.report.tensorboard import write_tensorboard


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"images": 0})
    events.Reload()
    return events


def projector(folder: Path) -> ProjectorConfig:
    return text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())


@pytest.fixture(scope="module")
def written(reported: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tensorboard")
    with SummaryWriter(str(folder)) as writer:
        writer.add_scalar("train/loss", 1.0, 3)
    write_tensorboard(folder, reported.data, reported.evaluation, reported.pictures)
    return folder


def test_every_figure_is_a_scalar_and_stands_in_the_table(written: Path, reported: Any) -> None:
    events = read(written)
    numbers = {name: value for name, value in reported.evaluation.figures.items() if not isinstance(value, list | dict)}
    table = events.Tensors("evaluation/test/text_summary")[0].tensor_proto.string_val[0].decode()

    for name, value in numbers.items():
        assert events.Scalars(f"evaluation/test/{name}")[0].value == pytest.approx(value, rel=1e-5, nan_ok=True)
    assert table.count("\n") == 1 + len(numbers) + len(reported.evaluation.baselines.figures)
    assert "| accuracy | " in table
    assert events.Scalars("train/loss")[0].value == 1.0


def test_the_pictures_are_those_of_the_report_byte_for_byte(written: Path, reported: Any) -> None:
    events = read(written)
    pictures = [picture for section in reported.pictures.values() for picture in section]

    assert events.Tags()["images"] == [f"evaluation/test/{picture.name}" for picture in pictures]
    for picture in pictures:
        (image,) = events.Images(f"evaluation/test/{picture.name}")
        assert hashlib.sha256(image.encoded_image_string).digest() == hashlib.sha256(picture.png).digest()
        assert (image.width, image.height) == picture.size


def test_the_projector_shows_each_image_beside_its_embedding_and_class(written: Path, reported: Any) -> None:
    (shown,) = projector(written).embeddings
    evaluation, chosen = reported.evaluation, reported.evaluation.map.indices
    tensors = np.loadtxt(written / shown.tensor_path)
    header, *rows = [line.split("\t") for line in (written / shown.metadata_path).read_text().splitlines()]
    sheet = np.asarray(Image.open(written / shown.sprite.image_path))
    side, columns = 32, int(np.ceil(np.sqrt(len(chosen))))

    assert np.allclose(tensors, evaluation.outputs.embeddings[chosen].numpy(), atol=1e-6)
    assert header == ["class", "predicted", "confidence", "image"]
    names = [" ".join(name.split()) for name in reported.data.classes]
    assert [row[0] for row in rows] == [names[label] for label in evaluation.outputs.labels[chosen]]
    assert [row[3] for row in rows] == [f"image {image}" for image in chosen.tolist()]
    assert list(shown.sprite.single_image_dim) == [side, side]
    assert sheet.shape == (columns * side, columns * side, 3)
    for index, image in enumerate(chosen.tolist()):
        row, column = divmod(index, columns)
        thumbnail = sheet[side * row : side * (row + 1) : 4, side * column : side * (column + 1) : 4]
        assert np.array_equal(thumbnail, evaluation.split.images[image].permute(1, 2, 0).expand(-1, -1, 3).numpy())


def test_evaluating_again_replaces_what_was_written_before(written: Path, reported: Any) -> None:
    before = {path.name for path in written.rglob("*") if path.is_file()}
    better = replace(reported.evaluation, figures={**reported.evaluation.figures, "accuracy": 0.125})

    write_tensorboard(written, reported.data, better, {})

    after = {path.name for path in written.rglob("*") if path.is_file()}
    events = read(written)
    assert len(after) == len(before)
    assert [event.value for event in events.Scalars("evaluation/test/accuracy")] == [0.125]
    assert events.Scalars("train/loss")
    assert len(projector(written).embeddings) == 1


def test_another_split_and_somebody_elses_embeddings_stay(tmp_path: Path, reported: Any) -> None:
    others = ProjectorConfig()
    others.embeddings.add(tensor_name="mine", tensor_path="mine.tsv")
    (tmp_path / "projector_config.pbtxt").write_text(text_format.MessageToString(others))

    for split in ("test", "val", "test"):
        evaluation = replace(reported.evaluation, split_name=split, holdout={"map_at_r": 0.5})
        write_tensorboard(tmp_path, reported.data, evaluation, {})

    assert {one.tensor_path for one in projector(tmp_path).embeddings} == {
        "mine.tsv",
        "00000/test/tensors.tsv",
        "00000/val/tensors.tsv",
    }
    tags = {f"evaluation/{split}/{name}" for split in ("test", "val") for name in ("accuracy", "holdout/map_at_r")}
    assert tags <= set(read(tmp_path).Tags()["scalars"])


def test_a_damaged_projector_config_is_written_anew(tmp_path: Path, reported: Any) -> None:
    (tmp_path / "projector_config.pbtxt").write_text("embeddings {{{")

    write_tensorboard(tmp_path, reported.data, reported.evaluation, {})

    assert len(projector(tmp_path).embeddings) == 1


def test_the_sheet_is_no_larger_than_browsers_take(
    tmp_path: Path, reported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard, "LARGEST_SHEET", 60)
    monkeypatch.setattr(tensorboard, "MOST_POINTS", 64)

    write_tensorboard(tmp_path, reported.data, reported.evaluation, {})

    (shown,) = projector(tmp_path).embeddings
    with Image.open(BytesIO((tmp_path / shown.sprite.image_path).read_bytes())) as sheet:
        assert max(sheet.size) <= 60


def test_an_interruption_keeps_the_former_evaluation(
    tmp_path: Path, reported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tensorboard(tmp_path, reported.data, reported.evaluation, {})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SummaryWriter, "add_embedding", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_tensorboard(tmp_path, reported.data, reported.evaluation, {})

    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
