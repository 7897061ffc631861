"""Pictures: pure functions from tensors to figures, for the end of a run and for papers; nothing here keeps state."""

from triptych.visualisation.embeddings import embedding_figure
from triptych.visualisation.projection import project_tsne
from triptych.visualisation.reconstructions import reconstruction_grid
from triptych.visualisation.style import save_figure
from triptych.visualisation.triplets import triplet_figure

__all__ = ["embedding_figure", "project_tsne", "reconstruction_grid", "save_figure", "triplet_figure"]
