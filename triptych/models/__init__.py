"""The two models, and what they are made of."""

from triptych.models.image_transformer import ImageTransformer, ImageTransformerOutput
from triptych.models.multitask import MultiTaskImageTransformer, MultiTaskOutput
from triptych.models.summary import ModelSummary, model_summary

__all__ = [
    "ImageTransformer",
    "ImageTransformerOutput",
    "ModelSummary",
    "MultiTaskImageTransformer",
    "MultiTaskOutput",
    "model_summary",
]
