"""The audit of a run's images: doubtful labels, duplicates and outliers, written as tables."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from triptych.evaluation.audit.labels import LabelDoubts, doubt_labels
from triptych.evaluation.audit.outliers import Outliers, find_outliers
from triptych.evaluation.audit.pool import SPLITS, Pool, pool_images
from triptych.evaluation.opening import OpenedModel
from triptych.inspection.duplicates import Duplicates, find_duplicates


@dataclass(frozen=True, eq=False)
class Audit:
    """The findings of an audit.

    Attributes:
        pool: The images.
        classes: The class names.
        doubts: Doubts about each label.
        label_issues: Rows of the pool whose label is probably wrong, the most doubtful first.
        duplicates: Pairs, the most similar first.
        outliers: Outlier scores of each image.
        outlier_rows: Rows of the pool that are outliers, the farthest first.
    """

    pool: Pool
    classes: tuple[str, ...]
    doubts: LabelDoubts
    label_issues: Tensor
    duplicates: Duplicates
    outliers: Outliers
    outlier_rows: Tensor

    def counts(self) -> dict[str, int]:
        """Return the numbers of findings."""
        is_test, labels = self.pool.split == SPLITS.index("test"), self.pool.labels
        first, second = self.duplicates.first, self.duplicates.second
        return {
            "label_issues": int(self.doubts.likely.sum()),
            "duplicates": len(first),
            "exact": int(self.duplicates.exact.sum()),
            "leaked": int((is_test[first] != is_test[second]).sum()),
            "contradictions": int((labels[first] != labels[second]).sum()),
            "outliers": int(self.outliers.likely.sum()),
        }

    def verdict(self) -> str:
        """Describe how many labels are probably wrong, or why the model is not reliable enough to detect them."""
        doubts = self.doubts
        if doubts.is_reliable:
            return f"{self.counts()['label_issues']:,} are probably wrong"
        return (
            f"not judged: the model agrees with the labels of only {doubts.agreement_unseen:.0%} of the images that it "
            "was not trained on, too few, beyond chance, to separate label errors from errors of the model. Train a "
            "better model first; --top N lists the most doubtful labels all the same"
        )


def audit_opened(opened: OpenedModel, *, folder: Path, top: int | None = None) -> Audit:
    """Find label errors, duplicates and outliers among the images of a trained model's run, and write the tables.

    Writes label_issues.csv, near_duplicates.csv and outliers.csv; `triptych.explorer` shows the same on a page.

    Args:
        opened: The model and its images.
        folder: The output folder.
        top: Number of label issues and outliers to list; None lists those that are likely.
    """
    from triptych.evaluation.audit.tables import write_tables

    found = audit_pool(pool_images(opened.network, opened.data), opened.data.classes, top=top)
    write_tables(folder, found)
    return found


def audit_pool(pool: Pool, classes: tuple[str, ...], *, top: int | None = None) -> Audit:
    """Audit images by the outputs of a model; `top` as in `audit_opened`."""
    doubts, outliers = doubt_labels(pool), find_outliers(pool)
    return Audit(
        pool=pool,
        classes=classes,
        doubts=doubts,
        label_issues=_ranked(doubts.score, doubts.likely, top),
        duplicates=find_duplicates(pool.images, pool.neighbours),
        outliers=outliers,
        outlier_rows=_ranked(outliers.score, outliers.likely, top),
    )


def _ranked(score: Tensor, likely: Tensor, top: int | None) -> Tensor:
    """Return rows by descending score: the likely ones, or the first `top` of all."""
    order = torch.argsort(score, descending=True, stable=True)
    return order[likely[order]] if top is None else order[:top]
