"""Pretrained encoders of other libraries: fetched, described, adapted."""
