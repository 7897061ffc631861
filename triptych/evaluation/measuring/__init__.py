"""Measures a model on a split: outputs, losses, metrics with intervals, and simple baselines."""
