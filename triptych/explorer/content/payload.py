"""All that a page shows as named, compressed blobs, which a static page carries and a server hands out."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.explorer.collection import Collection
from triptych.explorer.content.columns import OTHER, Columns, encoded, image_columns, model_columns
from triptych.explorer.content.description import model_info
from triptych.explorer.content.networks import page_networks
from triptych.explorer.content.sheets import thumbnail_sheets
from triptych.explorer.viewpoint import Viewpoint

FORMAT = 1
LEVEL = 6


class Payload:
    """Blobs by name, gzip-compressed, and the manifest that lists them.

    Args:
        manifest: All of it but the columns.

    Attributes:
        blobs: The content of each blob but the manifest.
        failed: Whether the maps that were to come could not be computed.
    """

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self.blobs: dict[str, bytes] = {}
        self.failed = False
        self._manifest = dict(manifest)
        self._columns: list[dict[str, Any]] = []

    def manifest(self, *, live: bool) -> bytes:
        """Return the manifest as a blob."""
        return _json({**self._manifest, "live": live, "columns": list(self._columns)})

    def add_columns(self, columns: Columns, *, prefix: str = "") -> None:
        """Add columns (N, …), each as a blob."""
        for name, values in columns.items():
            self.blobs[prefix + name] = compressed(encoded(values))
            self._columns.append({"name": prefix + name, "dtype": values.dtype.name, "shape": list(values.shape)})

    def add_bytes(self, name: str, content: bytes, *, level: int = LEVEL) -> None:
        """Add any other blob."""
        self.blobs[name] = compressed(content, level=level)

    def add_text(self, name: str, content: object) -> None:
        """Add a JSON blob."""
        self.blobs[name] = _json(content)

    def column(self, name: str) -> NDArray[Any]:
        """Read a column back.

        Raises:
            KeyError: There is none of that name.
        """
        found = {column["name"]: column for column in self._columns}[name]
        values = np.frombuffer(gzip.decompress(self.blobs[name]), np.dtype(found["dtype"]).newbyteorder("<"))
        return values.reshape(found["shape"])


def build_payload(collection: Collection, view: Viewpoint, other: Viewpoint | None = None) -> Payload:
    """Turn images and the outputs of one or two models into blobs; the map by t-SNE is added later.

    Raises:
        DataError: A model has to be exported, and a library for that is missing.
    """
    sheets = thumbnail_sheets(collection)
    names = [f"sheet-{number}" for number in range(len(sheets.pictures))]
    networks = page_networks(view.model)
    manifest = {
        "version": FORMAT,
        "title": collection.title,
        "model": model_info(view, collection, networks),
        "splits": list(collection.split_names),
        "count": len(collection),
        "thumbnails": {"size": list(sheets.size), "columns": sheets.columns, "rows": sheets.rows, "sheets": names},
        "corrections": "index" if collection.names is None else "path",
        "notes": list(collection.notes),
    }
    others = page_networks(other.model) if other else None
    if other and others:
        manifest["other"] = model_info(other, collection, others)
    payload = Payload(manifest)
    payload.add_columns(image_columns(collection))
    payload.add_columns(model_columns(view))
    if other:
        payload.add_columns(model_columns(other), prefix=OTHER)
    payload.add_text("paths", [collection.name(row) for row in range(len(collection))])
    for name, picture in zip(names, sheets.pictures, strict=True):
        payload.add_bytes(name, picture, level=0)
    for prefix, found in (("", networks), (OTHER, others)):
        if found and found.encoder:
            payload.add_bytes(f"{prefix}encoder.onnx", found.encoder)
        if found and found.decoder:
            payload.add_bytes(f"{prefix}decoder.onnx", found.decoder)
    return payload


def compressed(content: bytes, *, level: int = LEVEL) -> bytes:
    """Compress a blob; the same content gives the same bytes."""
    return gzip.compress(content, compresslevel=level, mtime=0)


def _json(content: object) -> bytes:
    text = json.dumps(content, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return compressed(text.encode())
