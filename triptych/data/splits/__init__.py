"""Splits images into train, val and test, holds out classes, and applies corrections of labels."""
