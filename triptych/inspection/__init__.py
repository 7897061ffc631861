"""What is wrong with a run's images, told before anything is trained on them: `triptych doctor`."""

from triptych.inspection.examine import Examination, examine
from triptych.inspection.finding import Finding, Severity
from triptych.inspection.label_findings import label_findings

__all__ = ["Examination", "Finding", "Severity", "examine", "label_findings"]
