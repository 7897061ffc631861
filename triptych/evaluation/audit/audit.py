"""The audit of a run's images as a story: pool them, judge labels, find duplicates and outliers, write it all."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from triptych.data.module import ImageDataModule
from triptych.evaluation.audit.labels import LabelDoubts, doubt_labels
from triptych.evaluation.audit.outliers import Outliers, find_outliers
from triptych.evaluation.audit.pool import SPLITS, Pool, pool_images
from triptych.evaluation.measuring.outputs import Model
from triptych.evaluation.opening import ModelLike, OpenedModel, open_model
from triptych.inspection.duplicates import Duplicates, find_duplicates


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found.

    Attributes:
        pool: The images.
        classes: The class names.
        doubts: Of each label.
        label_issues: Rows of the pool whose label is probably wrong, the most doubtful first.
        duplicates: Pairs, the most alike first.
        outliers: Of each image.
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
        """Count what was found."""
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
        """Describe how many labels are probably wrong, or why the model cannot judge them."""
        doubts = self.doubts
        if doubts.is_reliable:
            return f"{self.counts()['label_issues']:,} are probably wrong"
        return (
            f"not judged: the model agrees with the labels of only {doubts.agreement_unseen:.0%} of the images that it "
            "was not trained on, too few, beyond chance, to separate label errors from errors of the model. Train a "
            "better model first; --top N lists the most doubtful labels all the same"
        )


def audit(
    model: ModelLike, *, root: str | Path | None = None, output: str | Path | None = None, top: int | None = None
) -> Audit:
    """Find label errors, duplicates and outliers among the images of a trained model's run.

    Writes audit.html, label_issues.csv, near_duplicates.csv and outliers.csv.

    Args:
        model: A checkpoint, a run folder, a run's name as "digits/3" (of the runs in the working directory), or a model
            that `triptych.load` has loaded.
        root: Where the images are now; None: where training found them.
        output: Where to write; None: the run's version folder.
        top: Label issues and outliers to list, whatever their number; None lists those that are likely.

    Raises:
        CheckpointError: There is no such model, or its file is damaged, or is a config.
        DataError, DownloadError: The images cannot be read, or have other classes than the model.
    """
    opened = open_model(model, root=root)
    return audit_opened(opened, folder=Path(output) if output else opened.folder, top=top)


def audit_opened(opened: OpenedModel, *, folder: Path, top: int | None = None) -> Audit:
    """Audit the images of a model that is open already, and write the results to a folder."""
    from triptych.evaluation.audit.page import write_page
    from triptych.evaluation.audit.tables import write_tables

    found = audit_images(opened.network, opened.data, top=top)
    write_tables(folder, found)
    write_page(folder / "audit.html", opened.network, found, dataset=opened.data.title)
    return found


def audit_images(model: Model, data: ImageDataModule, *, top: int | None = None) -> Audit:
    """Audit training, validation and test images of a run; arguments are those of `audit`."""
    pool = pool_images(model, data)
    doubts, outliers = doubt_labels(pool), find_outliers(pool)
    return Audit(
        pool=pool,
        classes=data.classes,
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
