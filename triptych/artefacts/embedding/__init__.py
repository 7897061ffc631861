"""Embeddings of many images in Parquet files: a job of deterministic shards, resumable and divisible."""

from triptych.artefacts.embedding.job import embed_images

__all__ = ["embed_images"]
