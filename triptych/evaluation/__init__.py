"""A trained model and a split in, pictures out."""
