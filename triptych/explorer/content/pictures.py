"""Original images for larger views, and what the model computes of an image that a person drops on the page."""

import threading
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from triptych.artefacts.model import TrainedModel, softmax
from triptych.data.pixels.decoding import decode
from triptych.data.pixels.opening import UndecodableImage
from triptych.errors import DataError
from triptych.explorer.collection import Collection

LONGEST = 1024
"""Pixels of the longer side of a larger view."""
COLOURS = 3
PNG, JPEG = "image/png", "image/jpeg"


class Pictures:
    """Reads the images of a page, and embeds new ones.

    Args:
        collection: The images of the page.
        model: The model that embeds.
        other: A second one.
    """

    def __init__(self, collection: Collection, model: TrainedModel, other: TrainedModel | None = None) -> None:
        self.collection = collection
        self._model, self._other = model, other
        self._computing = threading.Lock()

    def original(self, row: int) -> tuple[bytes, str]:
        """Return an image as it is in its file, of at most 1,024 pixels a side, as PNG or JPEG, and its media type.

        Where there is no file, or not any more, it is what the model sees, as PNG.
        """
        form = self._model.description.preprocessing
        source = self.collection.original(row)
        if source is not None:
            try:
                pixels = decode(
                    source,
                    channels=form.shape[0],
                    at_least=lambda _height, _width: (LONGEST, LONGEST),
                    background=form.background,
                    white=form.white,
                )
            except UndecodableImage:
                source = None
        if source is None:
            pixels = self.collection.pixels(slice(row, row + 1))[0].permute(1, 2, 0).numpy()
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] < COLOURS else pixels[..., :COLOURS])
        picture.thumbnail((LONGEST, LONGEST))
        written = BytesIO()
        is_small = source is None or picture.mode == "L"
        picture.save(written, format="PNG" if is_small else "JPEG", quality=90)
        return written.getvalue(), PNG if is_small else JPEG

    def embed(self, content: bytes, *, by_other: bool = False) -> dict[str, Any]:
        """Compute embedding, latent and probabilities of an image file.

        Args:
            content: The file.
            by_other: Whether the second model embeds.

        Raises:
            DataError: It cannot be decoded, or there is no second model.
        """
        model = self._other if by_other else self._model
        if model is None:
            raise DataError("Expected a page of two models, but there is no second one. Reload the page.")
        with self._computing:
            encoded, _ = next(model.outputs([content], progress=False))
        return {
            "embedding": _plain(encoded.embeddings[0]),
            "probabilities": _plain(softmax(encoded.logits)[0]),
            "latent": [] if encoded.latents is None else _plain(encoded.latents[0]),
        }


def _plain(values: Any) -> list[float]:  # noqa: ANN401 # an array of any kind of number
    return [float(value) for value in np.round(np.asarray(values, np.float64), 7)]
