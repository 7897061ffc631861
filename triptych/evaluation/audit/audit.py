"""The audit of a run's images as a story: pool them, doubt their labels, pair what comes twice, find the strange."""

from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.data.module import ImageDataModule
from triptych.evaluation.audit.labels import LabelDoubts, doubt_labels
from triptych.evaluation.audit.outliers import Outliers, find_outliers
from triptych.evaluation.audit.pool import Pool, pool_images
from triptych.evaluation.outputs import Model
from triptych.inspection.duplicates import Duplicates, find_duplicates


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found.

    Attributes:
        pool: The images.
        doubts: Of each label.
        label_issues: Rows of the pool whose label is probably wrong, the most doubtful first.
        duplicates: Pairs, the most alike first.
        outliers: Of each image.
        outlier_rows: Rows of the pool that are unlike all others, the strangest first.
    """

    pool: Pool
    doubts: LabelDoubts
    label_issues: Tensor
    duplicates: Duplicates
    outliers: Outliers
    outlier_rows: Tensor


def audit_run(model: Model, data: ImageDataModule, *, top: int | None = None) -> Audit:
    """Audit training, validation and test images of a run.

    Args:
        model: The trained model.
        data: The images of its run.
        top: Label issues and outliers to list, whatever their number; None lists those that are likely ones.
    """
    pool = pool_images(model, data)
    doubts = doubt_labels(pool)
    outliers = find_outliers(pool)
    return Audit(
        pool=pool,
        doubts=doubts,
        label_issues=_ranked(doubts.score, doubts.likely, top),
        duplicates=find_duplicates(pool.images, pool.neighbours),
        outliers=outliers,
        outlier_rows=_ranked(outliers.score, outliers.likely, top),
    )


def _ranked(score: Tensor, likely: Tensor, top: int | None) -> Tensor:
    """Return rows by falling score: the likely ones, or the first `top` of all."""
    order = torch.argsort(score, descending=True, stable=True)
    return order[likely[order]] if top is None else order[:top]
