"""What the errors of Hugging Face's libraries mean, by the names of the classes behind them."""

import pytest

from triptych.models.pretrained.backbone import BackboneDownloadError, BackboneError
from triptych.models.pretrained.hugging_face_errors import in_our_words


def translated(error: Exception, *, because: str = "") -> BackboneError:
    if because:
        error.__cause__ = type(because, (OSError,), {})("details")
    with pytest.raises(BackboneError) as caught, in_our_words("someone/model"):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize(
    ("because", "expected"),
    [
        ("RepositoryNotFoundError", "someone/model, which is neither. Check the spelling"),
        ("HFValidationError", "which is neither"),
        ("GatedRepoError", "whose authors ask for consent"),
    ],
)
def test_a_name_that_is_wrong_or_closed_is_reported(because: str, expected: str) -> None:
    assert expected in str(translated(OSError("not a local folder"), because=because))


@pytest.mark.parametrize(
    "because", ["LocalEntryNotFoundError", "OfflineModeIsEnabled", "TransportError", "HfHubHTTPError", "Timeout"]
)
def test_a_failed_download_is_reported_as_one(because: str) -> None:
    error = translated(OSError("We couldn't connect.\nCheck the connection."), because=because)

    assert isinstance(error, BackboneDownloadError)
    assert "(We couldn't connect). Check the network" in str(error)


def test_code_of_the_models_own_is_not_run() -> None:
    assert "which brings code of its own" in str(translated(ValueError("... set `trust_remote_code=True` ...")))


@pytest.mark.parametrize("family", ["TransportError", "XetDownloadError"])
def test_a_download_that_ends_in_an_error_of_no_known_class_is_reported_as_one(family: str) -> None:
    kind = type("ReadTimeout", (type(family, (Exception,), {}),), {})

    assert isinstance(translated(kind("The read operation timed out")), BackboneDownloadError)


def test_any_other_error_keeps_its_first_line() -> None:
    assert str(translated(KeyError("\n  first.\nsecond"))).startswith(
        "expected a vision model that transformers can read"
    )
    assert str(translated(ValueError("first.\nsecond"))).endswith("got someone/model: first")
    assert str(translated(ZeroDivisionError())).endswith("got someone/model: ZeroDivisionError")


def test_messages_of_our_own_and_other_exceptions_pass_unchanged() -> None:
    with pytest.raises(BackboneError, match=r"^mine$"), in_our_words("x"):
        raise BackboneError("mine")
    with pytest.raises(KeyboardInterrupt), in_our_words("x"):
        raise KeyboardInterrupt
    with in_our_words("x"):
        pass
