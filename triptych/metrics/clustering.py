"""Clustering: how well clusters of embeddings agree with the classes.

Letters: N images, E embedding dimension.
"""

import math
import warnings
from typing import NamedTuple

from torch import Tensor

from triptych.metrics.inputs import in_double, require_labels, require_matrix, sampled_rows
from triptych.metrics.similarity import scale_to_unit_length

SILHOUETTE_SAMPLE = 10_000
"""Maximum number of images for the silhouette, because its cost is quadratic."""

STARTS = 4
"""Restarts of k-means; the one with the lowest inertia is used."""


class ClusteringMetrics(NamedTuple):
    """Agreement of clusters with classes; the best value of each is 1, and all are NaN with a single class."""

    nmi: float
    """Normalised mutual information, with the arithmetic mean of the entropies, in [0, 1] (Strehl & Ghosh 2002)."""
    ami: float
    """Adjusted mutual information: 0 is chance (Vinh et al. 2010)."""
    silhouette: float
    """Mean of (b - a) / max(a, b), a the mean distance to the own class, b to the nearest other (Rousseeuw 1987)."""


def clustering_metrics(embeddings: Tensor, labels: Tensor, *, seed: int = 0) -> ClusteringMetrics:
    """Cluster normalised embeddings by k-means, with one cluster per class, and compare with the classes.

    The silhouette is that of the classes, not of the clusters, by Euclidean distance between normalised embeddings, on
    at most 10,000 images, drawn uniformly. An image alone in its class counts as 0, as in scikit-learn; if all are
    alone, the silhouette is NaN.

    Args:
        embeddings: (N, E); the function scales them to unit length.
        labels: (N,) integers.
        seed: Seed of k-means and of the sample; results are reproducible on the same machine.

    Raises:
        ValueError: The embeddings are not a finite matrix, or there is not one label for each row.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> clustering_metrics(embeddings, torch.tensor([0, 0, 1, 1]))
        ClusteringMetrics(nmi=1.0, ami=1.0, silhouette=0.92...)
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score, silhouette_score
    from threadpoolctl import threadpool_limits

    require_matrix("embeddings", embeddings)
    require_labels("labels", labels, count=len(embeddings))
    classes = labels.cpu().numpy()
    count = len(set(classes.tolist()))
    if count < 2:
        return ClusteringMetrics(math.nan, math.nan, math.nan)
    directions = scale_to_unit_length(in_double(embeddings)).cpu().numpy()
    sample = sampled_rows(len(classes), at_most=SILHOUETTE_SAMPLE, seed=seed).numpy()
    silhouette = math.nan
    # Threads sum in arbitrary order, and rounding errors can move an image from one cluster to another.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than classes
        found = KMeans(count, n_init=STARTS, random_state=seed).fit_predict(directions)
        if 2 <= len(set(classes[sample].tolist())) < len(sample):
            silhouette = float(silhouette_score(directions[sample], classes[sample]))
    return ClusteringMetrics(
        nmi=float(normalized_mutual_info_score(classes, found)),
        ami=float(adjusted_mutual_info_score(classes, found)),
        silhouette=silhouette,
    )
