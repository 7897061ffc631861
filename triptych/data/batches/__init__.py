"""Batch samplers, batches and the loader."""
