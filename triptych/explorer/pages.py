"""The pages that `triptych evaluate` and `triptych audit` write: the explorer's, as one file, with what was measured.

They carry no networks: nothing has to be exported, and they stay small. The reconstructions of the images that need a
look come as pictures instead. `triptych explore` shows the same with the live model.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.artefacts.model import TrainedModel
from triptych.evaluation.audit.audit import Audit
from triptych.evaluation.measuring.measured import EmbeddingMap, Evaluation
from triptych.evaluation.measuring.outputs import ModelOutputs, reconstructions, without_border
from triptych.evaluation.opening import OpenedModel
from triptych.evaluation.report.page import MAP
from triptych.explorer.collection import Collection, of_run
from triptych.explorer.content.findings import found_rows, listed_findings
from triptych.explorer.content.layout import keep_map, known_map, neighbour_map, placed_map
from triptych.explorer.content.payload import build_payload
from triptych.explorer.content.sheets import sheets_of
from triptych.explorer.explore import model_name
from triptych.explorer.static import write_static
from triptych.explorer.viewpoint import Viewpoint, audited
from triptych.models import MultiTaskImageTransformer

AUDIT = "audit.html"
MOST = 20_000
"""Images of a page, unless an audit has found more: those that need a look, and others evenly chosen."""
RECONSTRUCTED = 2000
"""Reconstructions of a page."""
LAID_OUT = 2000
"""Images that are laid out by t-SNE where no map is known; the others are placed between them."""


def write_map(folder: Path, opened: OpenedModel, evaluation: Evaluation) -> Path:
    """Write the map of a split that was measured, beside its report.

    Args:
        folder: Where to write.
        opened: The model, as `open_model` returns it.
        evaluation: What was measured of it.

    Returns:
        The file.
    """
    collection = of_run(opened.data, split=evaluation.split_name)
    model, outputs = _trained(opened), evaluation.outputs
    audit = audited(collection, model, collection.images, outputs)
    wrong = (outputs.logits.argmax(1) != outputs.labels).nonzero()[:, 0]
    return _write(folder / MAP, opened, collection, outputs, audit, first=wrong, laid_out=evaluation.map, opens="image")


def write_audit(folder: Path, opened: OpenedModel, audit: Audit) -> Path:
    """Write an audit as a page that opens with the queue of doubtful labels.

    Args:
        folder: Where to write.
        opened: The model, as `open_model` returns it.
        audit: What was found.

    Returns:
        The file.
    """
    assert audit.pool.outputs is not None, "the audit is one of a model"
    collection = of_run(opened.data, split="all")
    first = torch.cat([audit.label_issues, audit.outlier_rows])
    return _write(
        folder / AUDIT, opened, collection, audit.pool.outputs, audit, first=first, laid_out=None, opens="labels"
    )


def _write(
    path: Path,
    opened: OpenedModel,
    collection: Collection,
    outputs: ModelOutputs,
    audit: Audit | None,
    *,
    first: Tensor,
    laid_out: EmbeddingMap | None,
    opens: Literal["image", "labels"],
) -> Path:
    """Write a page; `first` are the rows that need a look, the most urgent first."""
    needed = first if audit is None else torch.cat([first, found_rows(audit)])
    rows = _chosen(torch.tensor(sorted(set(needed.tolist())), dtype=torch.int64), count=len(collection), most=MOST)
    model = _trained(opened)
    view = Viewpoint(
        model,
        model_name(model),
        outputs.select(rows),
        None if audit is None else audit.doubts.select(rows),
        None if audit is None else listed_findings(audit, rows),
    )
    shown = collection if len(rows) == len(collection) else collection.select(rows)
    payload = build_payload(shown, view, networks=False)
    payload.add_columns({"tsne": _places(outputs.embeddings, laid_out)[rows.numpy()]})
    payload.describe("opens", opens)
    payload.describe("whole", len(collection))
    decoded = first[:RECONSTRUCTED]
    if isinstance(opened.network, MultiTaskImageTransformer) and len(decoded):
        pixels = reconstructions(opened.network, collection.images[decoded]).clamp(0, 1)
        pictures = without_border((pixels * 255).round().byte(), collection.pad)
        sheets = sheets_of(lambda start, end: pictures[start:end], count=len(pictures))
        payload.add_sheets("reconstructions", sheets, prefix="reconstructions")
        payload.add_text("reconstructed", torch.searchsorted(rows, decoded).tolist())
    write_static(path, payload)
    return path


def _chosen(needed: Tensor, *, count: int, most: int) -> Tensor:
    """Return the rows of a page, ascending: all where there are few, else those that are needed, and evenly others."""
    if count <= most:
        return torch.arange(count)
    is_needed = torch.zeros(count, dtype=torch.bool)
    is_needed[needed] = True
    others = (~is_needed).nonzero()[:, 0]
    room = max(0, most - len(needed))
    evenly = others[torch.linspace(0, len(others) - 1, room).long()] if room else others[:0]
    is_needed[evenly] = True
    return is_needed.nonzero()[:, 0]


def _places(embeddings: Tensor, laid_out: EmbeddingMap | None) -> NDArray[np.float32]:
    """Return the map of all images (N, 2): the one that was measured, a known one, or a new one.

    A map of some of the images is completed: the others are placed between them.
    """
    vectors = embeddings.numpy().astype(np.float16)
    if laid_out is not None:
        if len(laid_out.points) < len(vectors):
            return placed_map(vectors, laid_out.points, laid_out.indices.numpy())
        keep_map(vectors, laid_out.points)
        return laid_out.points.astype(np.float32)
    known = known_map(vectors)
    if known is not None:
        return known
    if len(vectors) <= LAID_OUT:
        return neighbour_map(vectors)
    sample = np.linspace(0, len(vectors) - 1, LAID_OUT).astype(np.int64)
    return placed_map(vectors, neighbour_map(vectors[sample]), sample)


def _trained(opened: OpenedModel) -> TrainedModel:
    assert opened.trained is not None, "open_model has read it from a file"
    return opened.trained
