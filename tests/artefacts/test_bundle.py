"""A bundle states what it is and what was measured, and is rejected where it is damaged."""

import hashlib
import json
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from filelock import FileLock
from PIL import Image
from safetensors import safe_open

import triptych
from triptych.artefacts.bundle import read_description
from triptych.artefacts.export.exporting import export
from triptych.artefacts.export.onnx_graphs import read_graph, write_graph
from triptych.artefacts.loading import load
from triptych.errors import CheckpointError, DataError
from triptych.files import DISK_FULL

ROOT = Path(triptych.__file__).parents[1]


@pytest.fixture
def bundle(photos_bundle) -> Path:
    return photos_bundle


def test_the_files_describe_the_model(photos_model, bundle):
    import onnx

    config = json.loads((bundle / "config.json").read_text())
    assert config["model"]["fingerprint"] == photos_model.fingerprint
    assert config["model"]["classes"] == ["cat", "dog", "bird"]
    assert set(config["files"]) == {path.name for path in bundle.iterdir()} - {"config.json"}
    with safe_open(bundle / "model.safetensors", "pt") as weights:
        assert set(weights.keys()) == set(photos_model.network.state_dict())
    graph = onnx.load(bundle / "encoder.onnx").graph
    assert [output.name for output in graph.output] == ["embedding", "logits", "latent"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param  # an open batch
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    card = (bundle / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "triptych"
    assert photos_model.fingerprint in card


def test_an_encoder_for_bytes_takes_bytes(digits_model, digits_bundle):
    import onnxruntime

    image = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    expected = digits_model.embed(list(image[:, 0])).vectors

    session = onnxruntime.InferenceSession(str(digits_bundle / "encoder.onnx"))
    np.testing.assert_allclose(session.run(["embedding"], {"images": image})[0], expected, atol=1e-4)
    model = load(digits_bundle, engine="onnx")
    np.testing.assert_allclose(model.embed(list(image[:, 0])).vectors, expected, atol=1e-4)


def test_the_config_and_the_card_state_what_was_measured_on_the_images_of_the_run(digits_model, digits_bundle):
    from triptych.data.builder import load_dataset
    from triptych.metrics import retrieval_metrics

    test = load_dataset("digits").test
    vectors = torch.from_numpy(digits_model.embed(test.images.float() / 255).vectors)
    expected = retrieval_metrics(vectors, test.labels)["map_at_r"]

    model = json.loads((digits_bundle / "config.json").read_text())["model"]
    card = (digits_bundle / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])

    assert model["metrics"]["map_at_r"] == pytest.approx(expected, abs=1e-4)
    assert model["metrics"]["measured_images"] == len(test) == 360
    results = {one["type"]: one["value"] for one in front["model-index"][0]["results"][0]["metrics"]}
    assert results["map_at_r"] == pytest.approx(expected, abs=1e-4)
    assert f"| MAP@R | {expected:.4f} |" in card
    for name in ("nearest.png", "reconstructions.png", "samples.png"):
        assert f"]({name})" in card
        with Image.open(digits_bundle / name) as picture:
            picture.load()
            assert picture.width >= 400


def test_an_encoder_in_integers_has_its_own_fingerprint_and_its_cost_is_stated(digits_model, digits_bundle):
    description = read_description(digits_bundle)
    found = description.quantisation

    model = load(digits_bundle / found.file)

    assert model.fingerprint == found.fingerprint != digits_model.fingerprint
    images = list(np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8))
    vectors = model.embed(images).vectors
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors * digits_model.embed(images).vectors).sum(1).mean() > 0.98
    assert not np.array_equal(vectors, digits_model.embed(images).vectors)
    assert model.reconstruct(images).shape == (50, 8, 8)  # by the decoder beside it
    assert (found.split, found.images, found.calibration_images) == ("test", 360, 256)
    assert set(found.map_at_r) == set(found.milliseconds) == set(found.accuracy) == {"float32", "int8"}
    assert found.map_at_r["float32"] == pytest.approx(description.metrics["map_at_r"], abs=1e-6)
    assert abs(found.map_at_r["int8"] - found.map_at_r["float32"]) < 0.05
    card = (digits_bundle / "README.md").read_text()
    assert f"| MAP@R | {found.map_at_r['float32']:.4f} | {found.map_at_r['int8']:.4f} |" in card


def test_integers_need_the_images_of_the_run(photos_model, tmp_path):
    with pytest.raises(DataError, match="photos"):
        export(photos_model, tmp_path / "bundle", quantise_to="int8", root=tmp_path / "photos")
    assert not any(tmp_path.iterdir())


def test_a_compact_bundle_is_a_quarter_and_a_model_of_its_own(photos_model, bundle, pictures, tmp_path, recwarn):
    compact = export(photos_model, tmp_path / "compact", compact=True)
    assert not [str(one.message) for one in recwarn]

    assert not (compact / "model.safetensors").exists()
    for name in ("encoder.onnx", "decoder.onnx"):
        assert (compact / name).stat().st_size < 0.8 * (bundle / name).stat().st_size
    model = load(compact)
    assert model.fingerprint == load(compact / "encoder.onnx").fingerprint != photos_model.fingerprint
    np.testing.assert_allclose(model.embed(pictures).vectors, photos_model.embed(pictures).vectors, atol=1e-2)
    with pytest.raises(CheckpointError, match="ONNX files alone"):
        load(compact, engine="torch")
    with pytest.raises(DataError, match="got ONNX files, which are exported already"):
        export(compact, tmp_path / "again")


def test_nothing_of_the_machine_is_in_the_onnx_files(bundle):
    for name in ("encoder.onnx", "decoder.onnx"):
        content = (bundle / name).read_bytes()
        assert str(ROOT).encode() not in content
        assert b"stack_trace" not in content


def test_a_run_that_is_exported_names_its_images(make_checkpoint, tmp_path):
    content = {**make_checkpoint(), "triptych_run": {"images": {"train": "a", "val": "b", "test": "c"}}}
    fingerprints = []
    for number, digest in enumerate(("a", "a", "other")):
        content["triptych_run"] = {"images": {"train": digest, "val": "b", "test": "c"}}
        torch.save(content, tmp_path / f"{number}.ckpt")
        fingerprints.append(load(tmp_path / f"{number}.ckpt").description.data_fingerprint)
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    assert len(fingerprints[0]) == 64


def test_a_folder_that_is_there_is_not_overwritten(digits_model, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")

    with pytest.raises(DataError, match="expected a new folder for the bundle"):
        export(digits_model, tmp_path / "mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]


def test_what_a_killed_export_has_left_is_removed_and_a_living_one_is_not_disturbed(digits_model, tmp_path):
    left, other = tmp_path / ".bundle.x1y2.part", tmp_path / ".bundle2.x1y2.part"
    for folder in (left, other):
        folder.mkdir()
        (folder / "model.safetensors").write_text("of a killed process")

    with (
        FileLock(tmp_path / ".bundle.lock"),
        pytest.raises(DataError, match="another process is writing one there now"),
    ):
        export(digits_model, tmp_path / "bundle", pictures=False)
    assert left.exists()
    export(digits_model, tmp_path / "bundle", pictures=False)

    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "bundle"]


def test_a_full_disk_is_an_error_of_the_system_and_leaves_nothing(digits_model, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"too large|No space") as error:
            export(digits_model, tmp_path / "bundle", pictures=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert error.value.errno in DISK_FULL
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-4] + b"abcd"), "damaged one"),
        ("config.json", lambda path: path.write_text("{"), "cannot be read"),
        ("config.json", lambda path: path.write_text("{}"), "expected a bundle that `triptych export` wrote"),
        ("config.json", lambda path: replace(path, '"pad"', '"bad"'), "this version cannot"),
        ("config.json", lambda path: replace(path, '"model.safetensors"', '"../x"'), "plain names of files"),
        ("config.json", lambda path: replace(path, '"model.safetensors": "', '"model.safetensors": "x'), "plain names"),
        ("config.json", lambda path: path.write_bytes(b" " * (1 << 24) + b"{}"), "more than"),
        (
            "config.json",
            lambda path: replace(path, '"fit": "letterbox"', '"fit": "crop"'),
            "expected weights of the fin",
        ),
        ("config.json", lambda path: replace(path, '"bird"', '"fish"'), "expected weights of the fingerprint"),
    ],
)
def test_a_damaged_bundle_is_rejected(bundle, tmp_path, name, change, message):
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    change(copy / name)

    with pytest.raises(CheckpointError, match=message) as error:
        load(copy, engine="torch")
    assert len(str(error.value).splitlines()) == 1


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_onnx_files_of_a_bundle_are_compared_with_their_digests_and_the_description(bundle, digits_bundle, tmp_path):
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    shutil.copy(digits_bundle / "encoder.onnx", copy / "encoder.onnx")
    with pytest.raises(CheckpointError, match="got another or a damaged one"):
        load(copy, engine="onnx")

    config = json.loads((copy / "config.json").read_text())
    config["files"]["encoder.onnx"] = hashlib.sha256((copy / "encoder.onnx").read_bytes()).hexdigest()
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"expected the (encoder of the model|decoder of the encoder)"):
        load(copy, engine="onnx")


def test_an_encoder_that_does_not_fit_its_description_is_rejected(bundle, tmp_path):
    graph = read_graph(bundle / "encoder.onnx")
    described = json.loads(graph.metadata_props[0].value)
    described["classes"] = ["cat", "dog"]
    write_graph(graph, tmp_path / "encoder.onnx", metadata={"triptych.model": json.dumps(described)})
    with pytest.raises(CheckpointError, match="expected an encoder of images and classes"):
        load(tmp_path / "encoder.onnx")


def test_another_onnx_file_is_rejected(bundle, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no model")
    with pytest.raises(CheckpointError, match="expected an ONNX model, got a damaged or foreign file"):
        load(tmp_path / "x.onnx")
    with pytest.raises(CheckpointError, match="expected an ONNX model that `triptych export` wrote"):
        load(bundle / "decoder.onnx")
    with pytest.raises(CheckpointError, match="there is no such file"):
        load(tmp_path / "missing.onnx")


def test_no_file_of_a_bundle_is_a_pickle(bundle):
    for path in bundle.iterdir():
        assert not path.read_bytes().startswith((b"PK", b"\x80", b"\x93NUMPY")), path.name
