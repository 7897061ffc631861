"""The audit: images whose label is probably wrong, duplicates, and outliers."""

from triptych.evaluation.audit.audit import Audit, audit, audit_images

__all__ = ["Audit", "audit", "audit_images"]
