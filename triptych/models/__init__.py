"""The two models and their components."""

from triptych.models.contract import Encoder
from triptych.models.image_transformer import ImageTransformer, ImageTransformerOutput
from triptych.models.multitask import MultiTaskImageTransformer, MultiTaskOutput
from triptych.models.summary import ModelSummary, model_summary
from triptych.models.vit.encoder import ImageEncoder

__all__ = [
    "Encoder",
    "ImageEncoder",
    "ImageTransformer",
    "ImageTransformerOutput",
    "ModelSummary",
    "MultiTaskImageTransformer",
    "MultiTaskOutput",
    "model_summary",
]
