"""The explorer: a page on which people look at what a model learned, find errors in data or model, and fix labels."""

from triptych.explorer.explore import Explorer, explore

__all__ = ["Explorer", "explore"]
