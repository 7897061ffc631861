"""Listings of your own images: folders, tables, Hugging Face data sets."""
