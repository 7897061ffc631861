"""Metrics, report, audit and predictions of trained models."""
