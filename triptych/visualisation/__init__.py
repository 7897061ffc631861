"""Figures: pure functions from tensors to figures, for runs, reports and papers."""

from triptych.visualisation.attention import attention_figure
from triptych.visualisation.calibration import calibration_figure
from triptych.visualisation.confusion import confusion_figure
from triptych.visualisation.curves import curves_figure
from triptych.visualisation.embeddings import embedding_figure, project_tsne
from triptych.visualisation.image_rows import ImageRow, image_rows_figure, reconstruction_grid
from triptych.visualisation.latent import latent_figure
from triptych.visualisation.paper.names import distinct_names
from triptych.visualisation.paper.style import figure_png, missing_characters, save_figure
from triptych.visualisation.retrieval import retrieval_figure
from triptych.visualisation.triplets import triplet_figure

__all__ = [
    "ImageRow",
    "attention_figure",
    "calibration_figure",
    "confusion_figure",
    "curves_figure",
    "distinct_names",
    "embedding_figure",
    "figure_png",
    "image_rows_figure",
    "latent_figure",
    "missing_characters",
    "project_tsne",
    "reconstruction_grid",
    "retrieval_figure",
    "save_figure",
    "triplet_figure",
]
