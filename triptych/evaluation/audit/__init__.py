"""The audit: images whose label is probably wrong, duplicates, and outliers."""

from triptych.evaluation.audit.audit import Audit, audit_opened, audit_pool

__all__ = ["Audit", "audit_opened", "audit_pool"]
