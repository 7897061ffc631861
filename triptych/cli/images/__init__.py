"""Verbs about images, without a model."""
