"""What is wrong with a run's images, told before anything is trained on them: `triptych doctor`."""

from triptych.evaluation.doctor.examine import Examination, examine
from triptych.evaluation.doctor.finding import Finding, Severity
from triptych.evaluation.doctor.labels import label_findings

__all__ = ["Examination", "Finding", "Severity", "examine", "label_findings"]
