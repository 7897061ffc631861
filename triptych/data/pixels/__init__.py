"""Decoding of images to pixels of one size, and the image cache."""
