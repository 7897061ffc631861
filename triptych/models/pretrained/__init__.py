"""Pretrained encoders from other libraries: loading, description, adaptation."""
