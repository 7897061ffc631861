"""What ends a command early: mistakes that a person can mend (exit code 2), and the wish to stop (130, 143)."""


class TriptychError(Exception):
    """A mistake that the user can mend: the message says what was expected, what came, and what to do."""


class ConfigError(TriptychError):
    """The configuration is wrong; the message lists every mistake with key path, line, value and expectation."""


class DataError(TriptychError):
    """A data file is missing, damaged, or not what it claims to be."""


class DownloadError(TriptychError):
    """No mirror gave the file: unreachable, cut off, or with the wrong bytes."""


class CheckpointError(TriptychError):
    """A checkpoint is missing, damaged, refused for what it holds, or of another model."""


class TrainingError(TriptychError):
    """The run had to stop: a loss that is not finite, a full disk, hardware that is not there."""


class Interruption(BaseException):
    """The run was asked to stop; like KeyboardInterrupt, no ordinary handler of errors catches it.

    Attributes:
        exit_code: 130 for Ctrl-C, 143 for SIGTERM: what a shell expects.
    """

    def __init__(self, received: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + received
