"""All that a page shows as named, compressed blobs, which a static page carries and a server hands out."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.explorer.collection import Collection
from triptych.explorer.content.columns import OTHER, Columns, Levels, encoded, image_columns, in_levels, model_columns
from triptych.explorer.content.description import model_info
from triptych.explorer.content.networks import PageNetworks, page_networks
from triptych.explorer.content.sheets import Sheets, thumbnail_sheets
from triptych.explorer.viewpoint import Viewpoint
from triptych.visualisation.paper.style import class_colours

FORMAT = 1
LEVEL = 6
LEVELS = ("latent",)
"""Columns that need a byte for a number: the decoder makes the same image of them."""


class Payload:
    """Blobs by name, gzip-compressed, and the manifest that lists them.

    Args:
        manifest: The manifest without the columns.

    Attributes:
        blobs: The content of each blob except the manifest.
        failed: Whether the computation of maps failed.
    """

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self.blobs: dict[str, bytes] = {}
        self.failed = False
        self._manifest = dict(manifest)
        self._columns: list[dict[str, Any]] = []

    def manifest(self, *, live: bool) -> bytes:
        """Return the manifest as a blob."""
        return _json({**self._manifest, "live": live, "columns": list(self._columns)})

    def describe(self, name: str, value: object) -> None:
        """Add a line to the manifest."""
        self._manifest[name] = value

    def add_columns(self, columns: Columns, *, prefix: str = "") -> None:
        """Add columns (N, …), each as a blob."""
        for name, given in columns.items():
            described: dict[str, Any] = {"name": prefix + name}
            values = given
            if name in LEVELS:
                values, scale, offset = in_levels(given)
                described["levels"] = {"scale": _rounded(scale), "offset": _rounded(offset)}
            self.blobs[prefix + name] = compressed(encoded(values))
            self._columns.append({**described, "dtype": values.dtype.name, "shape": list(values.shape)})

    def add_bytes(self, name: str, content: bytes, *, level: int = LEVEL) -> None:
        """Add any other blob."""
        self.blobs[name] = compressed(content, level=level)

    def add_text(self, name: str, content: object) -> None:
        """Add a JSON blob."""
        self.blobs[name] = _json(content)

    def add_sheets(self, name: str, sheets: Sheets, *, prefix: str) -> None:
        """Add sheets of pictures, each as a blob, which the manifest describes under `name`."""
        names = [f"{prefix}-{number}" for number in range(len(sheets.pictures))]
        for blob, picture in zip(names, sheets.pictures, strict=True):
            self.add_bytes(blob, picture, level=0)
        size = {"size": list(sheets.size), "columns": sheets.columns, "rows": sheets.rows, "sheets": names}
        self._manifest[name] = size

    def column(self, name: str) -> NDArray[Any]:
        """Read a column back.

        Raises:
            KeyError: There is none of that name.
        """
        found = {column["name"]: column for column in self._columns}[name]
        values = np.frombuffer(gzip.decompress(self.blobs[name]), np.dtype(found["dtype"]).newbyteorder("<"))
        matrix = values.reshape(found["shape"])
        if "levels" not in found:
            return matrix
        return Levels(matrix, *(np.array(found["levels"][part]) for part in ("scale", "offset"))).values()


def build_payload(
    collection: Collection,
    view: Viewpoint,
    other: Viewpoint | None = None,
    *,
    networks: bool = True,
) -> Payload:
    """Turn images and the outputs of one or two models into blobs; the map by t-SNE is added later.

    Args:
        collection: The images.
        view: The model and its outputs.
        other: Those of a second model.
        networks: Whether the page gets the models' ONNX files, and latents for them.

    Raises:
        DataError: A model has to be exported, and a library for that is missing.
    """
    sheets = thumbnail_sheets(collection)
    own = page_networks(view.model) if networks else PageNetworks(None, None)
    manifest = {
        "version": FORMAT,
        "title": collection.title,
        "model": model_info(view, collection, own),
        "splits": list(collection.split_names),
        "count": len(collection),
        "corrections": "index" if collection.names is None else "path",
        "notes": list(collection.notes),
        "findings": view.findings is not None,
        "colours": class_colours(len(all_classes(collection, view, other))),
    }
    others = page_networks(other.model) if other and networks else None
    if other:
        manifest["other"] = model_info(other, collection, others or PageNetworks(None, None))
    payload = Payload(manifest)
    payload.add_columns(image_columns(collection))
    payload.add_columns(_columns(view, latents=own.decoder is not None))
    if other:
        payload.add_columns(_columns(other, latents=bool(others and others.decoder)), prefix=OTHER)
    payload.add_text("paths", [collection.name(row) for row in range(len(collection))])
    if view.findings is not None:
        payload.add_text("findings", view.findings)
    payload.add_sheets("thumbnails", sheets, prefix="sheet")
    for prefix, content in (("", own), (OTHER, others)):
        if content and content.encoder:
            payload.add_bytes(f"{prefix}encoder.onnx", content.encoder)
        if content and content.decoder:
            payload.add_bytes(f"{prefix}decoder.onnx", content.decoder)
    return payload


def all_classes(collection: Collection, view: Viewpoint, other: Viewpoint | None) -> list[str]:
    """Return the classes of the labels, then those that only one of the models has, each once."""
    models = [view.model] if other is None else [view.model, other.model]
    return list(dict.fromkeys([*collection.classes, *(name for model in models for name in model.classes)]))


def _columns(view: Viewpoint, *, latents: bool) -> Columns:
    return {name: values for name, values in model_columns(view).items() if latents or name != "latent"}


def compressed(content: bytes, *, level: int = LEVEL) -> bytes:
    """Compress a blob; the same content gives the same bytes."""
    return gzip.compress(content, compresslevel=level, mtime=0)


def _rounded(values: NDArray[np.floating]) -> list[float]:
    return [float(f"{value:.7g}") for value in values.tolist()]


def _json(content: object) -> bytes:
    text = json.dumps(content, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return compressed(text.encode())
