"""Images of every kind become uint8 pixels: the right ones, upright, opaque and comparable."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps

from triptych.data.pixels.decoding import Measure, decode, looks_grey, measure
from triptych.data.pixels.opening import UndecodableImage

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (6, 9, 3), np.uint8)
GREY = COLOUR[..., 0]
DEEP = RANDOM.integers(0, 65536, (6, 9)).astype(np.uint16)
HALF = np.full((6, 9), 128, np.uint8)


def encoded(image: Image.Image | np.ndarray, form: str, **options) -> bytes:
    stream = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, form, **options)
    return stream.getvalue()


def saved_array(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


PALETTE = Image.fromarray(COLOUR).quantize(8)
SHOWN = np.asarray(PALETTE.convert("RGB"))
"""The palette's colours, by Pillow's own conversion."""

LOSSLESS = {
    "PNG": (encoded(COLOUR, "PNG"), COLOUR),
    "PNG, optimised": (encoded(COLOUR, "PNG", optimize=True), COLOUR),
    "BMP": (encoded(COLOUR, "BMP"), COLOUR),
    "WebP": (encoded(COLOUR, "WEBP", lossless=True, exact=True), COLOUR),
    "TIFF": (encoded(COLOUR, "TIFF"), COLOUR),
    "TIFF, LZW": (encoded(COLOUR, "TIFF", compression="tiff_lzw"), COLOUR),
    "TIFF, deflated": (encoded(COLOUR, "TIFF", compression="tiff_deflate"), COLOUR),
    "grey PNG": (encoded(GREY, "PNG"), GREY[..., None]),
    "grey TIFF": (encoded(GREY, "TIFF"), GREY[..., None]),
    "grey BMP": (encoded(GREY, "BMP"), GREY[..., None]),
    "palette PNG": (encoded(PALETTE, "PNG"), SHOWN),
    "palette BMP": (encoded(PALETTE, "BMP"), SHOWN),
    "palette TIFF": (encoded(PALETTE, "TIFF"), SHOWN),
    "GIF": (encoded(PALETTE, "GIF"), SHOWN),
    "GIF, animated": (encoded(PALETTE, "GIF", save_all=True, append_images=[PALETTE.rotate(180)]), SHOWN),
    "1-bit PNG": (encoded(Image.fromarray(GREY > 99), "PNG"), 255 * (GREY > 99)[..., None]),
    "1-bit fax": (encoded(Image.fromarray(GREY > 99), "TIFF", compression="group4"), 255 * (GREY > 99)[..., None]),
    "CMYK TIFF": (encoded(Image.fromarray(COLOUR).convert("CMYK"), "TIFF"), COLOUR),
    "NumPy, two dimensions": (saved_array(GREY), GREY[..., None]),
    "NumPy, five channels": (saved_array(np.dstack([COLOUR, COLOUR[..., :2]])), np.dstack([COLOUR, COLOUR[..., :2]])),
    "NumPy, in Fortran's order": (saved_array(np.asfortranarray(COLOUR)), COLOUR),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_files_give_their_pixels(kind):
    source, expected = LOSSLESS[kind]
    pixels = decode(source)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert pixels.shape == expected.shape
    assert (pixels == expected).all()
    assert measure(source).channels == expected.shape[2]


@settings(deadline=None, max_examples=40)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3]))))
def test_what_is_written_is_read(pixels):
    source = encoded(pixels[..., 0] if pixels.shape[2] == 1 else pixels, "PNG")
    assert (decode(source) == pixels).all()
    as_grey = np.rint(pixels @ [0.299, 0.587, 0.114]) if pixels.shape[2] == 3 else pixels[..., 0]
    assert np.abs(decode(source, channels=1)[..., 0] - as_grey).max() <= 1
    assert (decode(source, channels=3) == pixels).all()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_by_the_whole_range_and_not_by_the_image(form):
    dark = DEEP // 16  # as a camera of 12 bits leaves them
    assert (decode(encoded(DEEP, form))[..., 0] == np.rint(DEEP / 257)).all()
    assert (decode(encoded(dark, form))[..., 0] == np.rint(dark / 257)).all()
    assert (decode(encoded(dark, form), white=4095)[..., 0] == np.rint(dark / 4095 * 255)).all()
    assert decode(encoded(DEEP, form), white=4095)[DEEP > 4095].min() == 255


def test_big_endian_and_32_bit_integers_are_read_like_16_bits():
    expected = np.rint(DEEP / 257)
    assert (decode(encoded(DEEP.astype(np.int32), "TIFF"))[..., 0] == expected).all()
    big = Image.frombytes("I;16B", (9, 6), DEEP.astype(">u2").tobytes())
    assert (decode(encoded(big, "TIFF"))[..., 0] == expected).all()


def test_floating_point_images_are_of_zero_to_one():
    values = RANDOM.random((6, 9)).astype(np.float32)
    assert np.abs(decode(encoded(values, "TIFF"))[..., 0] - 255 * values).max() <= 0.5 + 1e-4
    for wrong, words in ((255 * values, "to 2.*, where 0 to 1 is expected"), (values * np.nan, "from nan to nan")):
        with pytest.raises(UndecodableImage, match=words):
            decode(encoded(wrong, "TIFF"))
    with pytest.raises(UndecodableImage, match=r"has values from -.* where 0 to 65535 is expected"):
        decode(encoded(-DEEP.astype(np.int32), "TIFF"))


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_transparent_pixels_show_the_background(form):
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    alpha = RANDOM.integers(0, 256, (6, 9), np.uint8)
    source = encoded(np.dstack([COLOUR, alpha]), form, **options)
    opacity = alpha[..., None] / 255
    for background in ((255, 255, 255), (0, 0, 0), (10, 200, 30)):
        expected = COLOUR * opacity + np.array(background) * (1 - opacity)
        assert np.abs(decode(source, background=background) - expected).max() <= 1
    assert np.abs(decode(source) - (COLOUR * opacity + 255 * (1 - opacity))).max() <= 1


def test_grey_images_with_transparency_stay_grey():
    source = encoded(np.dstack([GREY, HALF]), "PNG")
    pixels = decode(source)
    assert pixels.shape == (6, 9, 1)
    assert np.abs(pixels[..., 0] - (GREY * (128 / 255) + 127)).max() <= 1


TRANSPARENT = {
    "palette, one colour": (encoded(PALETTE, "PNG", transparency=PALETTE.getpixel((4, 3))), (4, 3)),
    "palette, by a table": (
        encoded(PALETTE, "PNG", transparency=bytes(0 if n == PALETTE.getpixel((4, 3)) else 255 for n in range(8))),
        (4, 3),
    ),
    "GIF": (encoded(PALETTE, "GIF", transparency=PALETTE.getpixel((4, 3))), (4, 3)),
    "RGB, one colour": (encoded(COLOUR, "PNG", transparency=tuple(map(int, COLOUR[3, 4]))), (4, 3)),
    "grey, one value": (encoded(GREY, "PNG", transparency=int(GREY[3, 4])), (4, 3)),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_a_transparent_colour_shows_the_background_and_the_others_stay(kind):
    source, (x, y) = TRANSPARENT[kind]
    pixels = decode(source, channels=3, background=(1, 2, 3))
    opaque = np.asarray(Image.open(io.BytesIO(source)).convert("RGBA"))
    hidden = opaque[..., 3] == 0
    assert hidden[y, x]
    assert (pixels[hidden] == (1, 2, 3)).all()
    assert (pixels[~hidden] == opaque[..., :3][~hidden]).all()


def test_the_inks_of_a_cmyk_jpeg_are_inverted_as_adobe_writes_them():
    source = encoded(
        Image.fromarray(np.full((16, 16, 3), (250, 20, 30), np.uint8)).convert("CMYK"), "JPEG", quality=100
    )
    assert b"Adobe" in source
    assert np.abs(decode(source).astype(int) - (250, 20, 30)).max() <= 6


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(9))
def test_images_are_turned_by_their_exif_data(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    shades = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40, np.ones((16, 16), np.uint8))
    source = encoded(shades, form, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(source))).convert("L"))
    pixels = decode(source, channels=1)[..., 0]
    assert pixels.shape == ((48, 32) if orientation >= 5 else (32, 48))
    assert (pixels == expected).all()
    found = measure(source)
    assert (found.height, found.width) == pixels.shape


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_are_no_reason_to_reject_an_image():
    source = encoded(COLOUR, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\xff")
    assert (decode(source) == COLOUR).all()


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("at_least", [(30, 70), (100, 100), (1, 1), (999, 999)])
def test_a_large_jpeg_may_come_smaller_but_not_too_small(orientation, at_least):
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = Image.fromarray(RANDOM.integers(0, 256, (4, 8, 3), np.uint8)).resize((800, 400), Image.Resampling.BICUBIC)
    source = encoded(smooth, "JPEG", exif=exif, quality=95)
    whole = decode(source)
    requested = []
    pixels = decode(source, at_least=lambda *size: requested.append(size) or at_least)
    assert requested == [whole.shape[:2]]
    factor = whole.shape[0] // pixels.shape[0]
    fitting = [
        one for one in (8, 4, 2, 1) if whole.shape[0] // one >= at_least[0] and whole.shape[1] // one >= at_least[1]
    ]
    assert factor == next(iter(fitting), 1)
    reduced = np.asarray(Image.fromarray(whole).reduce(factor)).astype(int)
    assert np.abs(pixels - reduced).mean() < 2


def test_other_files_come_whole_whatever_the_minimum_size():
    assert decode(encoded(COLOUR, "PNG"), at_least=lambda *_: (1, 1)).shape == (6, 9, 3)


def test_greys_and_colours_are_distinguished():
    grey_colour = np.dstack([GREY] * 3)
    tinted = np.dstack([GREY, GREY, GREY ^ 1])
    grey_palette = Image.fromarray(GREY).quantize(4)
    for form in ("PNG", "BMP", "TIFF"):
        assert looks_grey(encoded(GREY, form))
        assert looks_grey(encoded(grey_colour, form))
        assert not looks_grey(encoded(tinted, form))
    assert looks_grey(encoded(np.kron(grey_colour, np.ones((20, 20, 1), np.uint8)), "JPEG"))
    assert not looks_grey(encoded(np.kron(COLOUR, np.ones((20, 20, 1), np.uint8)), "JPEG"))
    assert looks_grey(encoded(DEEP, "PNG"))
    assert looks_grey(encoded(grey_palette, "PNG"))
    assert not looks_grey(encoded(PALETTE, "GIF"))
    assert looks_grey(saved_array(GREY))
    assert not looks_grey(saved_array(np.zeros((2, 2, 5), np.uint8)))


def test_a_header_is_measured_without_the_pixels():
    whole = encoded(RANDOM.integers(0, 256, (40, 70, 3), np.uint8), "JPEG")
    assert measure(whole[: len(whole) // 2]) == Measure("JPEG", 40, 70, 3)


@pytest.mark.parametrize(
    ("array", "channels", "expected"),
    [
        (GREY, 3, np.dstack([GREY] * 3)),
        (COLOUR, 3, COLOUR),
        (COLOUR, 1, np.asarray(Image.fromarray(COLOUR).convert("L"))[..., None]),
        (np.dstack([COLOUR, GREY, GREY]), 5, np.dstack([COLOUR, GREY, GREY])),
    ],
)
def test_arrays_are_converted_to_the_requested_channels(array, channels, expected):
    assert (decode(saved_array(array), channels=channels) == expected).all()


@pytest.mark.parametrize(
    ("source", "channels", "words"),
    [
        (encoded(COLOUR, "PNG"), 4, "has no 4 channels: only .npy files can"),
        (saved_array(np.zeros((2, 2, 5), np.uint8)), 3, "has 5 channels, where 3 are expected"),
        (saved_array(COLOUR), 5, "has 3 channels, where 5 are expected"),
    ],
)
def test_channels_that_a_file_cannot_have_are_rejected(source, channels, words):
    with pytest.raises(UndecodableImage, match=words):
        decode(source, channels=channels)


@pytest.mark.parametrize(("form", "mode"), [("PPM", "RGB"), ("PPM", "L"), ("PPM", "1"), ("AVIF", "RGB")])
def test_images_of_further_formats_are_read(form, mode, tmp_path):
    image = Image.fromarray(COLOUR).convert(mode)
    options = {"quality": 100, "subsampling": "4:4:4"} if form == "AVIF" else {}
    try:
        source = encoded(image, form, **options)
    except KeyError:
        pytest.skip(f"this Pillow does not write {form}")
    tolerance = 8 if form == "AVIF" else 0
    expected = np.asarray(image.convert("L" if mode == "1" else mode)).reshape(6, 9, -1).astype(int)
    assert np.abs(decode(source) - expected).max() <= tolerance


def test_a_format_whose_package_is_missing_names_it():
    with pytest.raises(UndecodableImage, match=r"is a HEIC image, which needs the package pillow-heif: pip install"):
        decode(b"\0\0\0\x18ftypheic" + bytes(20))


def test_16_bit_grey_maps_are_read_like_16_bit_files():
    source = b"P5 9 6 65535\n" + DEEP.astype(">u2").tobytes()
    assert np.abs(decode(source)[..., 0] - DEEP / 257).max() <= 1
    assert measure(source).bits == 16


@pytest.mark.parametrize("channels", [1, 3])
def test_lab_and_float_tiffs_are_read_as_grey_and_as_colours(channels):
    lab = Image.merge("LAB", [Image.fromarray(band) for band in (GREY, HALF, HALF)])
    values = Image.fromarray(GREY.astype(np.float32) / 255)
    for image in (lab, values):
        pixels = decode(encoded(image, "TIFF"), channels=channels)
        assert pixels.shape == (6, 9, channels)
        order = np.argsort(GREY.ravel())
        assert (np.diff(pixels.mean(2).ravel()[order]) >= -1.5).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "LAB", "I;16", "F"])
@pytest.mark.parametrize("channels", [1, 3])
def test_large_images_are_converted_in_strips_to_the_same_pixels(tmp_path, monkeypatch, mode, channels):
    noise = np.random.default_rng(0).integers(0, 256, (37, 23, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    if mode in ("LAB", "F", "I;16"):
        grey = image.convert("L")
        image = {
            "LAB": Image.merge("LAB", image.split()),
            "F": Image.fromarray(np.asarray(grey, np.float32) / 255),
            "I;16": Image.fromarray(np.asarray(grey, np.uint16) * 257),
        }[mode]
    image.convert(mode).save(tmp_path / "image.tif")
    whole = decode(tmp_path / "image.tif", channels=channels)
    monkeypatch.setattr("triptych.data.pixels.converting.STRIP", 100)
    pixels = decode(tmp_path / "image.tif", channels=channels)
    assert np.array_equal(pixels, whole)
    assert pixels.flags.writeable
