"""Suggests a config for your own images: `triptych init`."""

from triptych.inspection.suggestion.suggest import Suggestion, suggest_config

__all__ = ["Suggestion", "suggest_config"]
