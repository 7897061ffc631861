"""Trained models outside of training: read from files, and used by other software without Lightning."""
