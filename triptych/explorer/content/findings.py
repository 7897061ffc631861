"""What an audit has found, as the page lists it: doubtful labels, pairs of duplicates, and outliers, by row."""

from typing import Any

import torch
from torch import Tensor

from triptych.evaluation.audit.audit import Audit

SHOWN_NEIGHBOURS = 8
"""Of a doubtful label, which go with it where a page holds only some of the images."""


def listed_findings(audit: Audit, rows: Tensor | None = None) -> dict[str, Any]:
    """Describe an audit in plain values: `Findings` of the page.

    Args:
        audit: What was found.
        rows: The rows of the audit's images that the page has, ascending, (n,); None: all of them. They must include
            `found_rows(audit)`.
    """
    place = torch.arange(len(audit.pool))
    if rows is not None:
        place = torch.full((len(audit.pool),), -1)
        place[rows] = torch.arange(len(rows))
    pairs, far = audit.duplicates, audit.outliers
    return {
        "images": len(audit.pool),
        "reliable": bool(audit.doubts.is_reliable),
        "verdict": audit.verdict(),
        "labels": place[audit.label_issues].tolist(),
        "duplicates": {
            "first": place[pairs.first].tolist(),
            "second": place[pairs.second].tolist(),
            "similarity": _short(pairs.similarity),
            "exact": pairs.exact.tolist(),
        },
        "outliers": {
            "row": place[audit.outlier_rows].tolist(),
            "distance": _short(far.distance[audit.outlier_rows]),
            "entropy": _short(far.uncertainty[audit.outlier_rows]),
        },
    }


def found_rows(audit: Audit) -> Tensor:
    """Return the rows that a page of an audit needs, ascending: all that was found, with the nearest neighbours."""
    pairs = audit.duplicates
    near = audit.pool.neighbours[audit.label_issues, :SHOWN_NEIGHBOURS].flatten()
    rows = torch.cat([audit.label_issues, near, pairs.first, pairs.second, audit.outlier_rows])
    return torch.tensor(sorted(set(rows.tolist())), dtype=torch.int64)


def _short(values: Tensor) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]
