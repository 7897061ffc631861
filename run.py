"""The command of the README: `python run.py --config configs/mnist.yaml --epochs 10`, the same as `triptych train`."""

from typing import TYPE_CHECKING, Any

import triptych
from triptych.cli.main import run
from triptych.cli.train import train

if TYPE_CHECKING:
    from triptych import load_lightning_model, load_model

__all__ = ["load_lightning_model", "load_model"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a name of the package can be anything
    """Give the package's public names, so that `from run import load_lightning_model` works too."""
    if name not in triptych.__all__:
        raise AttributeError(f"module 'run' has no attribute {name!r}")
    return getattr(triptych, name)


if __name__ == "__main__":
    run(train)
