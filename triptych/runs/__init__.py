"""Runs on disk: folders, records, and comparisons."""
