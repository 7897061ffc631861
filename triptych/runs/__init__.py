"""Runs on disk: where each writes, what it recorded, and how two of them compare."""
