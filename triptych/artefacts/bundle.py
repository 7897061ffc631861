"""The bundle, a folder with a model: weights, description, ONNX files and a model card; read without PyTorch.

config.json        the description of the model, and the SHA-256 of every other file
model.safetensors  the weights; a compact bundle has none
encoder.onnx       images to embedding, logits and latent
encoder.int8.onnx  the same in 8-bit integers, on request
decoder.onnx       latent to images, of a model with a decoder
README.md          the model card, with its pictures
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from triptych.artefacts.description import ModelDescription
from triptych.errors import CheckpointError
from triptych.files import open_regular, read_start

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"
CARD = "README.md"
FORMAT = "triptych-bundle-1"
LARGEST_CONFIG = 1 << 24
"""Maximum size of config.json in bytes."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_bundle(folder: Path) -> bool:
    """Return whether a folder is a bundle."""
    return (folder / CONFIG).is_file() and any((folder / name).is_file() for name in (WEIGHTS, ENCODER))


def write_config(folder: Path, description: ModelDescription) -> None:
    """Write config.json: the description, and the digests of the files that are in the folder."""
    digests = {path.name: _digest(path.read_bytes()) for path in sorted(folder.iterdir()) if path.is_file()}
    content = {"format": FORMAT, "model": description.model_dump(mode="json"), "files": digests}
    (folder / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_description(folder: Path) -> ModelDescription:
    """Read the description of the model in a bundle.

    Raises:
        CheckpointError: config.json is missing, damaged, or of another format.
    """
    return parsed(json.dumps(_content(folder)["model"]), folder / CONFIG)


def listed_files(folder: Path) -> frozenset[str]:
    """Return the names of the files that belong to a bundle.

    Raises:
        CheckpointError: As in `read_description`.
    """
    return frozenset(_content(folder)["files"])


def parsed(description: str, place: Path) -> ModelDescription:
    """Parse the description of a model from JSON.

    Raises:
        CheckpointError: It is not a description, or has another version.
    """
    try:
        return ModelDescription.model_validate_json(description)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())[:400]
        raise CheckpointError(
            f"{place}: this version cannot read the description of the model: {found}. Load it with the version that "
            "wrote it."
        ) from error


def read_file(folder: Path, name: str) -> bytes:
    """Read a file of a bundle, and compare it with its digest.

    Raises:
        CheckpointError: It is missing or damaged, or config.json does not list it.
    """
    expected = _content(folder)["files"].get(name)
    try:
        with open_regular(folder / name) as file:
            content = file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CheckpointError(
            f"{folder}: expected {name} in the bundle, but it cannot be read ({reason}). Copy the whole bundle."
        ) from error
    if _digest(content) != expected:
        raise CheckpointError(
            f"{folder / name}: expected the file that config.json describes, got another or a damaged one. Copy the "
            "bundle again."
        )
    return content


def checked_file(folder: Path, name: str) -> Path:
    """Return a file of a bundle after checking its digest, for libraries that read files themselves.

    Raises:
        CheckpointError: As in `read_file`.
    """
    read_file(folder, name)
    return folder / name


def _content(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        read = read_start(path, LARGEST_CONFIG + 1)
        if len(read) > LARGEST_CONFIG:
            raise ValueError(f"it has more than {LARGEST_CONFIG:,} bytes")
        content = json.loads(read.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: expected the description of a model, but it cannot be read: {error}."
        ) from error
    if not (
        isinstance(content, dict)
        and content.get("format") == FORMAT
        and isinstance(content.get("model"), dict)
        and isinstance(content.get("files"), dict)
    ):
        raise CheckpointError(f"{path}: expected a bundle that `triptych export` wrote, got another JSON file.")
    for name, digest in content["files"].items():
        if not (_NAME.fullmatch(name) and isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            raise CheckpointError(
                f"{path}: expected plain names of files with their SHA-256, got {name!r:.80}. Copy the bundle again."
            )
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
