"""Divides images into train, val and test; holds classes out; lays corrections of labels over them."""
