"""Data sets, triplets, augmentation, and the batches that training sees."""
