"""Triptych's own encoder: a Vision Transformer on a convolutional patch embedding."""
