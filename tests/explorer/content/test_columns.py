"""What the page shows are the numbers of `triptych evaluate` and `triptych audit`, no others."""

from pathlib import Path

import numpy as np
import pytest
import torch

from triptych.evaluation.audit import audit_pool
from triptych.evaluation.audit.pool import pool_images
from triptych.evaluation.measuring.measured import measure
from triptych.evaluation.opening import open_model
from triptych.explorer import Explorer, explore
from triptych.metrics import nearest_neighbours


def test_predictions_and_errors_are_those_of_the_evaluation(explorer: Explorer, digits_run: Path) -> None:
    opened = open_model(digits_run)
    measured = measure(opened.network, opened.data, split="test")
    column, expected = explorer.payload.column, measured.table.columns

    for ours, theirs in (("label", "label"), ("prediction", "prediction"), ("confidence", "confidence")):
        np.testing.assert_array_equal(column(ours), expected[theirs])
    np.testing.assert_array_equal(column("reconstruction_error"), expected["mse"])
    np.testing.assert_allclose(column("embedding"), measured.outputs.embeddings.numpy(), atol=1e-3)
    np.testing.assert_allclose(column("probabilities"), measured.outputs.probabilities.numpy(), atol=1e-3)
    assert measured.outputs.reconstructed is not None
    latents = measured.outputs.reconstructed.mean.numpy()
    # A level is 1/255 of a dimension's range.
    assert (abs(column("latent") - latents) <= np.ptp(latents, axis=0) / 500).all()
    np.testing.assert_array_equal(column("row"), opened.data.positions["test"])


def test_half_precision_keeps_the_nearest_neighbours(explorer: Explorer, digits_run: Path) -> None:
    opened = open_model(digits_run)
    exact = measure(opened.network, opened.data, split="test").outputs.embeddings

    of_page = nearest_neighbours(torch.from_numpy(explorer.payload.column("embedding").astype(np.float32)), k=10)
    true = nearest_neighbours(exact, k=10)

    same = [len(set(a) & set(b)) for a, b in zip(of_page.indices.tolist(), true.indices.tolist(), strict=True)]
    assert np.mean(same) > 9.5
    # Which of two neighbours is nearer may change, but not by more than the precision of the numbers.
    np.testing.assert_allclose(of_page.distances, true.distances, atol=2e-3)


def test_suspicion_of_all_images_ranks_them_as_the_audit_does(digits_run: Path) -> None:
    everything = explore(digits_run, split="all")
    opened = open_model(digits_run)
    found = audit_pool(pool_images(opened.network, opened.data), opened.data.classes)
    column = everything.payload.column

    assert everything.collection.split_names == ("train", "val", "test")
    assert len(everything.collection) == 1797
    order = torch.argsort(torch.from_numpy(column("suspicion").copy()), descending=True, stable=True)
    np.testing.assert_array_equal(order, torch.argsort(found.doubts.score.float(), descending=True, stable=True))
    np.testing.assert_array_equal(column("suggestion"), found.doubts.suggested)
    np.testing.assert_array_equal(column("likely"), found.doubts.likely)
    assert 0 < column("suspicion").min() < column("suspicion").max() < 1
    if found.doubts.likely.any():
        assert column("suspicion")[found.doubts.likely.numpy()].min() == 0.5


def test_the_columns_of_a_second_model_are_its_own(digits_run: Path, other_run: Path) -> None:
    both = explore(digits_run, compare=other_run)
    opened = open_model(other_run)
    measured = measure(opened.network, opened.data, split="test")

    np.testing.assert_array_equal(both.payload.column("other/prediction"), measured.table.columns["prediction"])
    np.testing.assert_allclose(both.payload.column("other/reconstruction_error"), measured.table.columns["mse"])
    assert len(both.payload.column("other/pca")) == len(both.payload.column("pca")) == len(both.collection)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_of_the_run_has_its_images(digits_run: Path, split: str) -> None:
    shown = explore(digits_run, split=split).collection
    data = open_model(digits_run).data
    part = {"train": data.train, "val": data.validation, "test": data.test}[split]

    assert shown.split_names == (split,)
    assert torch.equal(shown.images[:], part.images[:])
    assert shown.name(3) == f"{split}/{int(data.positions['validation' if split == 'val' else split][3])}"
