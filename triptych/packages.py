"""What a small installation lacks: PyTorch and all that training needs, which is the extra `train`."""

from collections.abc import Iterator
from contextlib import contextmanager

from triptych.errors import MissingPackage

OF_TRAINING = frozenset(
    {"jinja2", "lightning", "matplotlib", "safetensors", "sklearn", "tensorboard", "torch", "torchmetrics"}
)
"""Libraries of the extra `train`, as they are imported."""


@contextmanager
def training_packages() -> Iterator[None]:
    """Turn the import of a library that training needs, and that is not installed, into a message.

    Raises:
        MissingPackage: It names the command that installs the library.

    Example:
        >>> with training_packages():
        ...     raise ModuleNotFoundError("No module named 'torch'", name="torch")
        Traceback (most recent call last):
        triptych.errors.MissingPackage: Training needs PyTorch ...
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (message := about_training(error)) is None:
            raise
        raise MissingPackage(message, name=error.name) from error


def about_training(error: BaseException) -> str | None:
    """Describe the failed import of a library that training needs; None for other errors."""
    library = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if library not in OF_TRAINING:
        return None
    return (
        f"Training needs PyTorch and other libraries, and so do checkpoints and reports; {library} is not installed. "
        "Install them: pip install 'triptych[train]'. Without them, `triptych.load` takes bundles of `triptych export`."
    )
