"""The one object that users get: images of every kind in; embeddings, classes and pictures out."""

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.artefacts.loading import load, load_model


@pytest.fixture
def network(digits_model):
    return load_model(digits_model.path)[0]


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8)


def as_input(noise):
    return torch.from_numpy(noise)[:, None].float() / 255


def test_embeddings_are_those_of_the_network_with_the_files_beside_them(digits_model, network, noise, tmp_path):
    files = [tmp_path / f"{number}.png" for number in range(9)]
    for file, image in zip(files, noise, strict=True):
        Image.fromarray(image).save(file)

    found = digits_model.embed(tmp_path)

    np.testing.assert_allclose(found.vectors, network.embed(as_input(noise)).detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)
    assert found.vectors.dtype == np.float32
    assert found.paths == tuple(files)
    assert found.fingerprint == digits_model.fingerprint
    assert repr(found) == "Embeddings of 9 images, 6 dimensions"


@pytest.mark.parametrize("batch_size", [1, 2, 9, 100])
def test_the_batch_size_changes_nothing(digits_model, noise, batch_size):
    images = list(noise)
    np.testing.assert_allclose(
        digits_model.embed(images, batch_size=batch_size).vectors, digits_model.embed(images).vectors, atol=1e-6
    )
    np.testing.assert_array_equal(
        digits_model.reconstruct(images, batch_size=batch_size), digits_model.reconstruct(images)
    )


def test_classes_are_named_with_their_probabilities(digits_model, network, noise):
    names, probabilities = digits_model.classify(list(noise))

    expected = network.classify(as_input(noise)).softmax(1).detach().numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert names == tuple(digits_model.classes[label] for label in expected.argmax(1))


def test_pictures_are_those_of_the_network_in_eight_bits(digits_model, network, noise):
    latents = digits_model.encode(list(noise))

    np.testing.assert_allclose(latents, network.encode(as_input(noise))[0].detach().numpy(), atol=1e-6)
    expected = (network.reconstruct(as_input(noise)) * 255).round().byte()[:, 0].numpy()
    for pictures in (digits_model.reconstruct(list(noise)), digits_model.decode(latents)):
        assert pictures.dtype == np.uint8
        np.testing.assert_allclose(pictures.astype(int), expected, atol=1)
    assert Image.fromarray(pictures[0]).mode == "L"


def test_pictures_of_a_padded_model_have_the_size_of_its_images(photos_model, pictures):
    reconstructions = photos_model.reconstruct(pictures)

    assert reconstructions.shape == (6, 12, 16, 3)
    assert Image.fromarray(reconstructions[0]).mode == "RGB"
    assert photos_model.sample(2).shape == (2, 12, 16, 3)
    assert photos_model.embed(pictures).vectors.shape == (6, 6)
    # What the model draws is an image for it, too.
    assert photos_model.embed(reconstructions).vectors.shape == (6, 6)


def test_the_same_seed_draws_the_same_samples(digits_model):
    assert np.array_equal(digits_model.sample(3, seed=5), digits_model.sample(3, seed=5))
    assert not np.array_equal(digits_model.sample(3, seed=5), digits_model.sample(3, seed=6))
    assert not np.array_equal(digits_model.sample(3), digits_model.sample(3))
    assert np.array_equal(
        digits_model.sample(3, seed=5),
        digits_model.decode(np.random.default_rng(5).standard_normal((3, 4), np.float32)),
    )


def test_latents_may_be_lists_arrays_or_tensors(digits_model):
    points = [[0.0, 1.0, 0.0, -1.0]]
    for latents in (points, np.array(points), torch.tensor(points)):
        assert np.array_equal(digits_model.decode(latents), digits_model.decode(points))


def test_no_images_give_empty_results_of_the_right_shape(digits_model):
    assert digits_model.embed([]).vectors.shape == (0, 6)
    names, probabilities = digits_model.classify([])
    assert names == ()
    assert probabilities.shape == (0, 10)
    assert digits_model.encode([]).shape == (0, 4)
    assert digits_model.reconstruct([]).shape == (0, 8, 8)
    assert digits_model.sample(0).shape == (0, 8, 8)


def test_the_model_describes_itself(digits_model, photos_model):
    assert repr(photos_model) == ("TrainedModel(12x16x3 images of photos, 3 classes, 6 dimensions, on cpu)")
    assert digits_model.classes == tuple("0123456789")
    assert (digits_model.embedding_dim, digits_model.latent_dim, digits_model.device) == (6, 4, "cpu")
    assert digits_model.config.dataset.name == "digits"
    assert digits_model.path.name == "model.ckpt"


def test_a_model_without_a_decoder_embeds_and_classifies_only(make_checkpoint, tmp_path, noise):
    torch.save(make_checkpoint(multitask=False), tmp_path / "simple.ckpt")
    model = load(tmp_path / "simple.ckpt", device="cpu")

    assert model.embed(list(noise)).vectors.shape == (9, 6)
    assert model.classify(list(noise)).probabilities.shape == (9, 10)
    assert model.latent_dim is None
    for call in (
        lambda: model.encode(noise),
        lambda: model.reconstruct(noise),
        lambda: model.sample(1),
        lambda: model.decode([[0.0] * 4]),
    ):
        with pytest.raises(ValueError, match=r"no decoder: .*use_multitask_loss: false"):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.decode([[1.0, 2.0]]), r"shape \(N, 4\), but it is \(1, 2\)"),
        (lambda model: model.decode([1.0, 2.0, 3.0, 4.0]), r"but it is \(4,\)"),
        (lambda model: model.decode([[1.0, 2.0, 3.0, np.nan]]), "must be finite"),
        (lambda model: model.sample(-1), "n must be at least 0"),
        (lambda model: model.embed([np.zeros((8, 8), np.uint8)], batch_size=0), "batch_size must be at least 1"),
        (lambda model: model.decode([[0.0] * 4], batch_size=0), "batch_size must be at least 1"),
    ],
)
def test_wrong_arguments_get_a_message(digits_model, call, message):
    with pytest.raises(ValueError, match=message):
        call(digits_model)


def test_progress_goes_to_stderr_when_it_is_wanted(digits_model, noise, capsys):
    digits_model.embed(list(noise))
    assert capsys.readouterr() == ("", "")
    digits_model.embed(list(noise), progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "encoding images" in printed.err
