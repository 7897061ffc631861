"""The report of an evaluation: one page that a person enjoys, and the pictures on it."""

from triptych.evaluation.report.page import report_pictures, write_report
from triptych.evaluation.report.pictures import Picture

__all__ = ["Picture", "report_pictures", "write_report"]
