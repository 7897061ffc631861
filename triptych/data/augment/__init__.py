"""Random changes of training images, batch by batch."""
