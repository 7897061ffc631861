"""Checkpoint, bundle and ONNX give the same, in fresh processes, from files of every format that training takes."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import triptych
from triptych.artefacts.export.exporting import export
from triptych.artefacts.loading import load
from triptych.data.builder import decode_listing, read_images

ROOT = Path(triptych.__file__).parents[1]
TOLERANCE = 1e-4
RANDOM = np.random.default_rng(0)
COLOUR = Image.fromarray(RANDOM.integers(0, 256, (5, 7, 3), np.uint8)).resize((70, 50), Image.Resampling.BICUBIC)
GREY = COLOUR.convert("L")
ALPHA = COLOUR.copy()
ALPHA.putalpha(GREY)
DEEP = Image.fromarray(np.asarray(GREY).astype(np.uint16) * 16)
"""Of 12 bits, in 16."""


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def files() -> Iterator[tuple[str, bytes]]:
    """Yield names and contents."""

    def saved(image: Image.Image, form: str, **options) -> bytes:
        stream = io.BytesIO()
        image.save(stream, form, **options)
        return stream.getvalue()

    yield "photo.jpg", saved(COLOUR, "JPEG", quality=90)
    yield "grey.jpeg", saved(GREY, "JPEG")
    yield "print.jpg", saved(COLOUR.convert("CMYK"), "JPEG")
    yield from ((f"turned {n}.jpg", saved(COLOUR, "JPEG", exif=turned(n))) for n in range(2, 9))
    yield "turned.png", saved(COLOUR, "PNG", exif=turned(6))
    yield "plain.png", saved(COLOUR, "PNG")
    yield "grey.png", saved(GREY, "PNG")
    yield "alpha.png", saved(ALPHA, "PNG")
    yield "grey alpha.png", saved(ALPHA.convert("LA"), "PNG")
    yield "hole.png", saved(COLOUR.quantize(16), "PNG", transparency=3)
    yield "1 bit.png", saved(COLOUR.convert("1"), "PNG")
    yield "16 bit.png", saved(DEEP, "PNG")
    yield "16 bit.tif", saved(DEEP, "TIFF")
    yield "16 bit.pgm", b"P5 70 50 4095\n" + np.asarray(DEEP).astype(">u2").tobytes()
    yield "plain.tiff", saved(COLOUR, "TIFF", compression="tiff_lzw")
    yield "alpha.tiff", saved(ALPHA, "TIFF")
    yield "plain.bmp", saved(COLOUR, "BMP")
    yield "palette.gif", saved(COLOUR.quantize(32), "GIF")
    yield "hole.gif", saved(COLOUR.quantize(32), "GIF", transparency=1)
    yield "plain.webp", saved(COLOUR, "WEBP")
    yield "alpha.webp", saved(ALPHA, "WEBP", lossless=True)
    yield "plain.ppm", saved(COLOUR, "PPM")
    yield "grey.pgm", saved(GREY, "PPM")
    yield "bits.pbm", saved(COLOUR.convert("1"), "PPM")
    with suppress(KeyError, OSError):  # Pillow may be built without it
        yield "plain.avif", saved(COLOUR, "AVIF")
    array = io.BytesIO()
    np.save(array, np.asarray(COLOUR))
    yield "array.npy", array.getvalue()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("formats")
    for number, (name, content) in enumerate(files()):
        path = folder / ("cat" if number % 2 else "dog") / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return folder


KINDS = {
    "grey": {
        "image_size": [14, 18],
        "channels": 1,
        "pad": 1,
        "white_level": 4095,
        "background": "black",
        "fit": "crop",
    },
    "colour": {
        "image_size": [12, 16],
        "channels": 3,
        "pad": 2,
        "white_level": 4095,
        "background": [10, 200, 30],
        "fit": "letterbox",
    },
}


@pytest.fixture(scope="module")
def places(make_checkpoint, photos, tmp_path_factory) -> dict[str, dict[str, Path]]:
    """A checkpoint and a bundle of each kind."""
    found = {}
    for kind, keys in KINDS.items():
        folder = tmp_path_factory.mktemp(kind)
        dataset = {"name": "folder", "root": str(photos), **keys}
        torch.save(make_checkpoint(dataset=dataset, classes=("cat", "dog")), folder / "best.ckpt")
        bundle = export(folder / "best.ckpt", folder / "bundle", pictures=False)
        found[kind] = {"checkpoint": folder / "best.ckpt", "bundle": bundle, "onnx": bundle / "encoder.onnx"}
    return found


PROGRAM = """
import json, sys
places, photos, out, has_torch = json.loads(sys.argv[1])
if not has_torch:
    sys.modules["torch"] = None  # every import of it fails
import numpy, triptych, triptych.errors
for name, place in places.items():
    model = triptych.load(place)
    assert model.has_network == (has_torch and not place.endswith(".onnx")), name
    found = model.embed(photos)
    numpy.savez(
        f"{out}/{name}.npz", embeddings=found.vectors, probabilities=model.classify(photos).probabilities,
        latents=model.encode(photos), pictures=model.reconstruct(photos), samples=model.sample(2, seed=1),
        paths=[str(path) for path in found.paths],
    )
    if not has_torch and name.endswith("onnx"):
        rows = triptych.embed_images(place, photos, f"{out}/{name}.parquet", with_map=True).rows
        assert rows == len(found), rows
        try:
            triptych.export(place, f"{out}/again")
        except triptych.errors.DataError as error:
            assert "Exporting needs the library PyTorch" in str(error)
"""


@pytest.fixture(scope="module", params=[True, False], ids=["with torch", "without torch"])
def found(request, places, photos, tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    """What a fresh process computes, by kind and place."""
    out = tmp_path_factory.mktemp("found")
    named = {
        f"{kind} {name}": str(place)
        for kind, of_kind in places.items()
        for name, place in of_kind.items()
        if request.param or name != "checkpoint"
    }
    given = json.dumps([named, str(photos), str(out), request.param])
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, given], check=True, timeout=300, cwd=ROOT)
    return {name: dict(np.load(out / f"{name}.npz")) for name in named}


@pytest.mark.parametrize("kind", KINDS)
def test_all_places_give_what_the_network_gives_of_every_file(found, places, photos, kind):
    model = load(places[kind]["checkpoint"], device="cpu")
    paths = sorted(path for path in photos.rglob("*") if path.is_file())
    pixels = read_images(paths, model.config.dataset)
    with torch.no_grad():
        latents, _ = model.network.encode(pixels)
        expected = {
            "latents": latents.numpy(),
            "embeddings": model.network.embed_latent(latents).numpy(),
            "pictures": model.decode(latents.numpy()),
        }
    results = {name: values for name, values in found.items() if name.startswith(kind)}
    assert len(results) in (2, 3)
    for name, values in results.items():
        order = [list(values["paths"]).index(str(path)) for path in paths]
        for part in ("embeddings", "latents"):
            np.testing.assert_allclose(values[part][order], expected[part], atol=TOLERANCE, err_msg=f"{name}, {part}")
        np.testing.assert_allclose(values["pictures"][order].astype(int), expected["pictures"].astype(int), atol=1)
    first, *others = results.values()
    for other in others:
        np.testing.assert_allclose(other["probabilities"], first["probabilities"], atol=TOLERANCE)
        np.testing.assert_allclose(other["samples"].astype(int), first["samples"].astype(int), atol=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_model_sees_the_pixels_that_training_sees(places, kind):
    model = load(places[kind]["bundle"], engine="onnx")
    decoded = decode_listing(model.config)

    paths = list(decoded.listing.encoded)
    form = model.description.preprocessing
    prepared = np.stack([form.prepare(form.known(path)) for path in paths])

    trained = decoded.decoded.images[list(range(len(paths)))].numpy().astype(np.float32) / 255
    np.testing.assert_allclose(form.without_padding(prepared), trained, atol=1e-6)
    assert len({path.suffix for path in paths}) >= 13
