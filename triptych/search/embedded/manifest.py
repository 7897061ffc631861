"""The manifest of an embedded index lists the files of its state. It is replaced atomically.

Files are identified by numbers, not by paths in the manifest: an untrusted index cannot refer to files elsewhere.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from triptych.errors import SearchError
from triptych.files import read_start, replacing
from triptych.search.calibration import Calibration
from triptych.search.conditions import Kind
from triptych.search.contract import IndexSettings
from triptych.search.rows import LONGEST_NAME, RESERVED

MANIFEST = "manifest.json"
LARGEST_MANIFEST = 64 * 2**20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class StoredFile(_Strict):
    """Size in bytes and SHA-256 of a file, for verification."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class StoredCodes(StoredFile):
    """The codes of a segment for approximate search.

    Attributes:
        depth: Number of candidates that are compared exactly to find the 10 nearest rows.
        recall: Share of the 10 nearest rows among these, measured when the codes were created.
    """

    depth: int = Field(gt=0)
    recall: float = Field(ge=0, le=1)


class StoredDeletions(StoredFile):
    """The deleted rows of a segment, as of a generation."""

    generation: int = Field(ge=0)
    rows: int = Field(gt=0)


class StoredSegment(_Strict):
    """Rows that were written together, with their codes and deletions."""

    number: int = Field(ge=0)
    rows: int = Field(gt=0, lt=2**31)
    data: StoredFile
    deletions: StoredDeletions | None = None
    codes: StoredCodes | None = None

    @property
    def alive(self) -> int:
        """Number of rows that are not deleted."""
        return self.rows - (self.deletions.rows if self.deletions else 0)

    def data_name(self) -> str:
        """Return the name of the file of rows."""
        return f"{self.number:08d}.arrow"

    def codes_name(self) -> str:
        """Return the name of the file of codes."""
        return f"{self.number:08d}.codes"

    def deletions_name(self, generation: int) -> str:
        """Return the name of the file of deleted rows, as of a generation."""
        return f"{self.number:08d}-{generation:08d}.deleted.npy"

    def names(self) -> list[str]:
        """Return the names of all its files."""
        names = [self.data_name()]
        if self.codes:
            names.append(self.codes_name())
        if self.deletions:
            names.append(self.deletions_name(self.deletions.generation))
        return names


class Manifest(_Strict):
    """A complete state of an index."""

    format: Literal[1] = 1
    generation: int = Field(ge=0)
    next_number: int = Field(ge=0)
    fingerprint: str = Field(min_length=1, max_length=200)
    dimension: int = Field(ge=1, le=16_384)
    model: str | None = None
    columns: dict[str, Kind] = {}
    segments: tuple[StoredSegment, ...] = Field(default=(), strict=False)
    calibration: Calibration | None = None

    @field_validator("columns")
    @classmethod
    def _names_fit(cls, columns: dict[str, Kind]) -> dict[str, Kind]:
        for name in columns:
            if name.lower() in RESERVED or not 1 <= len(name.encode(errors="replace")) <= LONGEST_NAME:
                raise ValueError(f"the name {name!r} of a column is not allowed")
        return columns

    @property
    def settings(self) -> IndexSettings:
        """Settings of the index."""
        return IndexSettings(self.fingerprint, self.dimension, self.model, dict(self.columns), self.calibration)


def read_manifest(folder: Path) -> bytes:
    """Return the bytes of the newest manifest.

    Raises:
        SearchError: There is none.
    """
    try:
        content = read_start(folder / MANIFEST, LARGEST_MANIFEST + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        raise SearchError(
            f"{folder}: expected a search index, a folder with a {MANIFEST}, found none. Check the path, or make an "
            "index with `triptych index MODEL IMAGES --out FOLDER`."
        ) from None
    if len(content) > LARGEST_MANIFEST:
        raise SearchError(f"{folder / MANIFEST}: expected at most {LARGEST_MANIFEST:,} bytes; this is no manifest.")
    return content


def parse_manifest(content: bytes, folder: Path) -> Manifest:
    """Parse and check a manifest, which may be untrusted.

    Raises:
        SearchError: It is damaged, or has an unknown version.
    """
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SearchError(
            f"{folder / MANIFEST}: expected the manifest of a search index in format 1, but {place}: {first['msg']}. "
            "Make the index again, or read it with the version of Triptych that wrote it."
        ) from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the current state; its files must be on disk. On return it survives a power failure."""
    with replacing(folder / MANIFEST) as temporary:
        temporary.write_text(manifest.model_dump_json(indent=1))
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk, if the system supports it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
