"""The explorer: a page to inspect a model's embeddings, find errors in data or model, and fix labels."""

from triptych.explorer.explore import Explorer, explore

__all__ = ["Explorer", "explore"]
