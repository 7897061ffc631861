"""Known data sets: their search paths and readers."""
