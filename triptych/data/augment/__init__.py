"""Random augmentation of training images, in batches."""
