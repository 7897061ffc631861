"""Verbs that take a trained model, or describe one."""
