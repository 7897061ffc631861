"""The report of an evaluation: one page, and the same figures for TensorBoard."""

from triptych.evaluation.report.page import report_pictures, write_report
from triptych.evaluation.report.pictures import Picture
from triptych.evaluation.report.tensorboard import write_tensorboard

__all__ = ["Picture", "report_pictures", "write_report", "write_tensorboard"]
