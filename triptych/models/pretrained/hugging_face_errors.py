"""Translates errors of Hugging Face's libraries into messages for the user who chose a model."""

from collections.abc import Iterator
from contextlib import contextmanager

from triptych.models.pretrained.backbone import BackboneDownloadError, BackboneError, first_line

# The classes of the libraries' errors, by name: they move between modules and versions.
WITHOUT_CONSENT = {"GatedRepoError"}
UNKNOWN = {"RepositoryNotFoundError", "RevisionNotFoundError", "HFValidationError"}
UNREACHABLE = {
    *("LocalEntryNotFoundError", "OfflineModeIsEnabled", "HfHubHTTPError", "XetDownloadError"),
    *("TransportError", "ConnectionError", "Timeout"),  # of httpx, the system and requests
}
NOT_TENSORS = {"UnpicklingError"}


@contextmanager
def in_our_words(name: str) -> Iterator[None]:
    """Turn the library's error about a model into a `BackboneError` or a `BackboneDownloadError`."""
    try:
        yield
    except BackboneError:
        raise
    except Exception as error:
        # Third-party files and libraries raise errors of any class.
        raise _translated(error, name) from error


def classes_behind(error: BaseException | None) -> set[str]:
    """Return the names of the classes of an error and of its causes, with all base classes."""
    names: set[str] = set()
    while error is not None:
        names |= {kind.__name__ for kind in type(error).__mro__}
        error = error.__cause__ or error.__context__
    return names


def _translated(error: Exception, name: str) -> BackboneError:
    causes, reason = classes_behind(error), first_line(error)
    text = f"expected a vision model that transformers can read, got {name}: {reason}"
    if causes & WITHOUT_CONSENT:
        text = (
            f"expected a model that may be read, got {name}, whose authors ask for consent. Give it on the model's "
            "page, and log in with: hf auth login"
        )
    elif causes & UNKNOWN:
        text = (
            f"expected a folder, or the name of a model on the Hugging Face hub; got {name}, which is neither. Check "
            "the spelling; for a private model log in with: hf auth login"
        )
    elif causes & UNREACHABLE:
        return BackboneDownloadError(
            f"{name} is not in the cache of the Hugging Face hub and could not be downloaded ({reason}). Check the "
            "network, or copy the model to this machine and name its folder: hf:/path/to/folder"
        )
    elif causes & NOT_TENSORS:
        text = (
            f"expected weights that are tensors and nothing else, got {name}, whose weights hold code, which was not "
            "run, or are damaged. Copy them again, or use a model with model.safetensors"
        )
    elif "trust_remote_code" in str(error):
        text = (
            f"expected a model of the library's own kinds, got {name}, which brings code of its own. Triptych runs no "
            "code of a model; choose another"
        )
    elif "preprocessor_config.json" in str(error):
        text = (
            f"expected a model with its image processor, which defines how images are normalised; got {name}, "
            "which has no preprocessor_config.json that can be read. Save it beside the model: "
            "processor.save_pretrained(folder)"
        )
    return BackboneError(text)
