"""Losses: small modules and pure functions of tensors."""

from triptych.losses.batch_triplet import BatchTripletLoss, Mining
from triptych.losses.classification import ClassificationLoss
from triptych.losses.distances import pairwise_distances
from triptych.losses.kl_divergence import KLDivergenceLoss, kl_per_dimension, warmup_factor
from triptych.losses.multitask import LossBreakdown, MultiTaskLoss
from triptych.losses.reconstruction import ReconstructionKind, ReconstructionLoss, squared_errors
from triptych.losses.triplet import TripletLoss, TripletStatistics

__all__ = [
    "BatchTripletLoss",
    "ClassificationLoss",
    "KLDivergenceLoss",
    "LossBreakdown",
    "Mining",
    "MultiTaskLoss",
    "ReconstructionKind",
    "ReconstructionLoss",
    "TripletLoss",
    "TripletStatistics",
    "kl_per_dimension",
    "pairwise_distances",
    "squared_errors",
    "warmup_factor",
]
