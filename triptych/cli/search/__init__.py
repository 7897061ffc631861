"""Verbs about embeddings: computing many, indexing and searching them, and the HTTP service."""
