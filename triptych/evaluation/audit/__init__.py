"""The label audit: which labels are probably wrong, which images come twice, and which are unlike all others."""

from triptych.evaluation.audit.audit import Audit, audit_run
from triptych.evaluation.audit.page import counts, write_page
from triptych.evaluation.audit.tables import write_tables

__all__ = ["Audit", "audit_run", "counts", "write_page", "write_tables"]
