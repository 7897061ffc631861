"""Metrics of embeddings, predictions and reconstructions, as pure functions."""

from triptych.metrics.classification import ClassificationMetrics, classification_metrics
from triptych.metrics.clustering import ClusteringMetrics, clustering_metrics
from triptych.metrics.geometry import alignment, effective_rank, spread, trustworthiness, uniformity
from triptych.metrics.latent import active_units, evidence_lower_bound, kl_per_image
from triptych.metrics.neighbours import Neighbours, knn_accuracy, knn_classes, nearest_neighbours
from triptych.metrics.reconstruction import ReconstructionScores, reconstruction_scores
from triptych.metrics.retrieval import retrieval_metrics, retrieval_scores
from triptych.metrics.similarity import Distance

__all__ = [
    "ClassificationMetrics",
    "ClusteringMetrics",
    "Distance",
    "Neighbours",
    "ReconstructionScores",
    "active_units",
    "alignment",
    "classification_metrics",
    "clustering_metrics",
    "effective_rank",
    "evidence_lower_bound",
    "kl_per_image",
    "knn_accuracy",
    "knn_classes",
    "nearest_neighbours",
    "reconstruction_scores",
    "retrieval_metrics",
    "retrieval_scores",
    "spread",
    "trustworthiness",
    "uniformity",
]
