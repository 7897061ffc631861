"""What runs leave on disk: where each one writes, what it recorded, and how two of them compare."""
