"""Trained models in files, for inference without Lightning."""
