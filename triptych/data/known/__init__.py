"""Data sets that are known by name: where they are found, and their readers."""
