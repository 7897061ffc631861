"""Exceptions that end a command early: errors that the user can fix (exit code 2), and interruptions (130, 143)."""


class TriptychError(Exception):
    """An error that the user can fix: the message has what was expected, what was received, and what to do."""


class ConfigError(TriptychError):
    """The config is invalid; the message lists every error with key path, line, value and expectation."""


class DataError(TriptychError):
    """A data file is missing, damaged, or has unexpected contents."""


class DownloadError(TriptychError):
    """No server provided the file: unreachable, cut off, or with the wrong bytes."""


class CheckpointError(TriptychError):
    """A checkpoint is missing, damaged, unsafe to load, or of another model."""


class SearchError(TriptychError):
    """A search index is missing, damaged, in use or of another model, or a filter cannot be read."""


class ServiceError(TriptychError):
    """The HTTP service cannot start: its address, its token, or a package that is missing."""


class MissingPackage(TriptychError, ImportError):  # noqa: N818 - named after what is missing
    """A library that this installation lacks; the message names the command that installs it."""


class TrainingError(TriptychError):
    """The run had to stop: a loss that is not finite, a full disk, missing hardware."""


class Interruption(BaseException):
    """The run was stopped by a signal; like KeyboardInterrupt, `except Exception` does not catch it.

    Attributes:
        exit_code: 130 for Ctrl-C, 143 for SIGTERM: what a shell expects.
    """

    def __init__(self, received: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + received


class ImageWarning(UserWarning):
    """Images were read in a way that their owner should know of; the command line prints it as one note."""


OUT_OF_MEMORY = (
    "There is not enough memory. Use a smaller dataset.batch_size (training.accumulate_gradients keeps the size of a "
    "step) or dataset.image_size; for training, model.activation_checkpointing: true helps too."
)
"""What to do where `is_out_of_memory`."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, a GPU's or the main one.

    Example:
        >>> is_out_of_memory(RuntimeError("CUDA out of memory")), is_out_of_memory(RuntimeError("another"))
        (True, False)
    """
    named = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in named)
