"""Callbacks of the training loop, one concern per file."""
