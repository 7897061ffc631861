"""Which images form which batch, and the batches themselves."""
