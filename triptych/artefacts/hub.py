"""Bundles on the Hugging Face Hub: atomic download, and upload."""

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from triptych.artefacts.bundle import CARD, CONFIG, DECODER, ENCODER, WEIGHTS, is_bundle
from triptych.errors import CheckpointError, DataError

if TYPE_CHECKING:
    from triptych.artefacts.model import TrainedModel

PREFIX = "hf:"
FILES = (CONFIG, WEIGHTS, ENCODER, DECODER, CARD, "*.png", "encoder.*.onnx")
"""Files that are downloaded from a repository."""
_NAME = re.compile(r"(?!.*\.\.)(\w[\w.-]*/\w[\w.-]*)(?:@(\w[\w./-]*))?", re.ASCII)
"""A repository and a revision. Two consecutive dots are not allowed, because they would leave the cache's folder."""


def download(place: str) -> Path:
    """Return the folder of a bundle on the Hub, which is downloaded unless cached.

    Args:
        place: "hf:user/name", or "hf:user/name@revision" with a branch, a tag or a commit.

    Raises:
        CheckpointError: It does not exist, is not a bundle, or huggingface_hub is not installed.
    """
    found = _NAME.fullmatch(place.removeprefix(PREFIX))
    if found is None:
        raise CheckpointError(f"{place}: expected hf:user/name, or hf:user/name@revision. Check the name.")
    try:
        import huggingface_hub
    except ImportError as error:
        raise CheckpointError(
            f"{place}: the Hugging Face Hub needs the library huggingface_hub: pip install 'triptych[hub]'."
        ) from error
    try:
        folder = Path(huggingface_hub.snapshot_download(found[1], revision=found[2], allow_patterns=list(FILES)))
    except Exception as error:  # errors of the library, its HTTP client, or the system
        raise CheckpointError(
            f"{place}: expected a bundle on the Hugging Face Hub, but it cannot be downloaded: {_reason(error)}. Check "
            "the name, the network, and for a private one the token (`hf auth login`)."
        ) from error
    if not is_bundle(folder):
        raise CheckpointError(
            f"{place}: expected a bundle, with {CONFIG} and {ENCODER}; got a repository of another kind. Put a bundle "
            "there with `model.push`."
        )
    return folder


def push(model: "TrainedModel", name: str, *, private: bool = False) -> str:
    """Upload a model as a bundle; arguments and errors are those of `TrainedModel.push`."""
    found = _NAME.fullmatch(name.removeprefix(PREFIX))
    if found is None or found[2]:
        raise DataError(f"{name!r}: expected the name of a repository as user/name. Check the name.")
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise DataError("The Hugging Face Hub needs huggingface_hub: pip install 'triptych[hub]'.") from error
    with tempfile.TemporaryDirectory(prefix="triptych-") as scratch:
        folder = model.path
        if folder is None or not is_bundle(folder):
            from triptych.artefacts.export.exporting import export

            folder = export(model, Path(scratch) / "bundle")
        try:
            api = HfApi(library_name="triptych")
            api.create_repo(found[1], private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=found[1],
                folder_path=str(folder),
                allow_patterns=list(FILES),
                commit_message=f"Model {model.fingerprint:.12}",
            )
        except Exception as error:  # as above
            _rejected(name, error)
    return str(done.commit_url)


def _rejected(name: str, error: Exception) -> NoReturn:
    raise DataError(
        f"{name}: the Hugging Face Hub did not take the bundle: {_reason(error)}. Check the name, and the token "
        "(`hf auth login`)."
    ) from error


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200].rstrip(".")
