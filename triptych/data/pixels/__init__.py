"""From encoded images to pixels of one size, decoded once."""
