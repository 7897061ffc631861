"""Checkpoints of a run: writing, resuming, loading."""
