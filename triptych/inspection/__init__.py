"""Inspects images without a model: `triptych doctor` and `triptych init`; and a config's model before training."""

from triptych.inspection.examine import Examination, examine
from triptych.inspection.findings.finding import Finding, Severity
from triptych.inspection.findings.label_findings import label_findings

__all__ = ["Examination", "Finding", "Severity", "examine", "label_findings"]
