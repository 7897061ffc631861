"""The HTTP service of a trained model: `serve` runs it, `create_app` makes it for a server of your own."""

from typing import TYPE_CHECKING, Any

from triptych.serving.requests.limits import Limits

if TYPE_CHECKING:
    from triptych.serving.app import create_app
    from triptych.serving.server import serve

__all__ = ["Limits", "create_app", "serve"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - functions that need FastAPI are imported when they are used
    places = {"create_app": "triptych.serving.app", "serve": "triptych.serving.server"}
    if name not in places:
        raise AttributeError(f"module 'triptych.serving' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(places[name]), name)
