"""All pictures of a report, by the section that shows them: drawn once, for the page and for TensorBoard."""

from triptych.data.module import ImageDataModule
from triptych.evaluation.evaluate import Evaluation
from triptych.evaluation.outputs import Model
from triptych.evaluation.report.attend import attention_pictures
from triptych.evaluation.report.compare import compare_pictures
from triptych.evaluation.report.naming import naming_pictures
from triptych.evaluation.report.pictures import Picture
from triptych.evaluation.report.repaint import repainting_pictures
from triptych.models import MultiTaskImageTransformer


def report_pictures(model: Model, data: ImageDataModule, evaluation: Evaluation) -> dict[str, list[Picture]]:
    """Draw the pictures of a report.

    Args:
        model: The model, on any device.
        data: The images of its run.
        evaluation: What was measured of it.

    Returns:
        The pictures by section: "compare", "name", "attention", and "repaint" for a model with a decoder.
    """
    pictures = {
        "compare": compare_pictures(evaluation, data.classes),
        "name": naming_pictures(evaluation, data.classes),
        "attention": attention_pictures(model, evaluation, data.classes),
    }
    if isinstance(model, MultiTaskImageTransformer):
        pictures["repaint"] = repainting_pictures(model, evaluation, data.classes)
    return pictures
