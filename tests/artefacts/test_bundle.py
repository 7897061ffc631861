"""A bundle gives what its checkpoint gives, with PyTorch and without, and is rejected where it is damaged."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors import safe_open

import triptych
from triptych.artefacts.exporting import export
from triptych.artefacts.loading import load
from triptych.errors import CheckpointError, DataError

ROOT = Path(triptych.__file__).parents[1]


@pytest.fixture(scope="module")
def bundle(photos_model, tmp_path_factory) -> Path:
    return export(photos_model, tmp_path_factory.mktemp("export") / "bundle")


def test_checkpoint_bundle_and_onnx_agree_on_files_of_every_format(photos_model, bundle, pictures):
    expected = photos_model.embed(pictures)
    latents = photos_model.encode(pictures)

    for place, engine in ((bundle, "torch"), (bundle, "onnx"), (bundle / "encoder.onnx", "auto")):
        model = load(place, device="cpu", engine=engine)
        assert model.fingerprint == expected.fingerprint
        assert model.classes == photos_model.classes
        assert (model.embedding_dim, model.latent_dim) == (6, 4)
        np.testing.assert_allclose(model.embed(pictures).vectors, expected.vectors, atol=1e-4)
        np.testing.assert_allclose(
            model.classify(pictures).probabilities, photos_model.classify(pictures).probabilities, atol=1e-4
        )
        np.testing.assert_allclose(model.encode(pictures), latents, atol=1e-4)
        np.testing.assert_allclose(
            model.reconstruct(pictures).astype(int), photos_model.reconstruct(pictures).astype(int), atol=1
        )
        np.testing.assert_allclose(
            model.sample(2, seed=1).astype(int), photos_model.sample(2, seed=1).astype(int), atol=1
        )


def test_a_process_without_torch_embeds_the_same(photos_model, bundle, pictures, tmp_path):
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # every import of it fails
        "import numpy, triptych\n"
        f"model = triptych.load({str(bundle)!r})\n"
        f"numpy.save({str(tmp_path / 'found.npy')!r}, model.embed({str(pictures)!r}).vectors)\n"
        "model.reconstruct(model.sample(1)); model.classify(model.sample(1))\n"
        "assert sys.modules['torch'] is None\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300, cwd=ROOT)

    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, photos_model.embed(pictures).vectors, atol=1e-4)


def test_the_files_say_what_the_model_is(photos_model, bundle):
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


def test_an_encoder_for_bytes_takes_bytes(digits_model, tmp_path):
    import onnxruntime

    folder = export(digits_model, tmp_path / "bundle", input_type="uint8")
    image = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    expected = digits_model.embed(list(image[:, 0])).vectors

    session = onnxruntime.InferenceSession(str(folder / "encoder.onnx"))
    np.testing.assert_allclose(session.run(["embedding"], {"images": image})[0], expected, atol=1e-4)
    model = load(folder, engine="onnx")
    np.testing.assert_allclose(model.embed(list(image[:, 0])).vectors, expected, atol=1e-4)


def test_a_folder_that_is_there_is_not_overwritten(digits_model, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")

    with pytest.raises(DataError, match="expected a new folder for the bundle"):
        export(digits_model, tmp_path / "mine")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-4] + b"abcd"), "damaged one"),
        ("config.json", lambda path: path.write_text("{"), "cannot be read"),
        ("config.json", lambda path: path.write_text("{}"), "expected a bundle that `triptych export` wrote"),
        (
            "config.json",
            lambda path: path.write_text(path.read_text().replace('"pad"', '"bad"')),
            "this version cannot",
        ),
    ],
)
def test_a_damaged_bundle_is_rejected(bundle, tmp_path, name, change, message):
    import shutil

    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    change(copy / name)

    with pytest.raises(CheckpointError, match=message) as error:
        load(copy, engine="torch")
    assert len(str(error.value).splitlines()) == 1


def test_another_onnx_file_is_rejected(bundle, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no model")
    with pytest.raises(CheckpointError, match="expected an ONNX model, got a damaged or foreign file"):
        load(tmp_path / "x.onnx")
    with pytest.raises(CheckpointError, match="expected an encoder that `triptych export` wrote"):
        load(bundle / "decoder.onnx")
    with pytest.raises(CheckpointError, match="there is no such file"):
        load(tmp_path / "missing.onnx")


def test_no_file_of_a_bundle_is_a_pickle(bundle):
    for path in bundle.iterdir():
        assert not path.read_bytes().startswith((b"PK", b"\x80", b"\x93NUMPY")), path.name
