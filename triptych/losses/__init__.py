"""The losses, small modules over plain tensors; classification is PyTorch's own `CrossEntropyLoss`."""

from triptych.losses.batch_triplet import BatchTripletLoss, Mining
from triptych.losses.distances import pairwise_distances
from triptych.losses.kl_divergence import KLDivergenceLoss, kl_per_dimension, warmup_factor
from triptych.losses.multitask import LossBreakdown, MultiTaskLoss, SimpleLoss
from triptych.losses.reconstruction import ReconstructionKind, ReconstructionLoss
from triptych.losses.triplet import TripletLoss, TripletStatistics
from triptych.losses.uncertainty import UncertaintyWeights

__all__ = [
    "BatchTripletLoss",
    "KLDivergenceLoss",
    "LossBreakdown",
    "Mining",
    "MultiTaskLoss",
    "ReconstructionKind",
    "ReconstructionLoss",
    "SimpleLoss",
    "TripletLoss",
    "TripletStatistics",
    "UncertaintyWeights",
    "kl_per_dimension",
    "pairwise_distances",
    "warmup_factor",
]
