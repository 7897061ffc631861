"""Data sets, triplets, augmentation, and training batches."""
