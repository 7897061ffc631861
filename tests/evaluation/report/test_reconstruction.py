from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from triptych.evaluation.report import reconstruction
from triptych.visualisation import ImageRow
from triptych.visualisation.paper.style import new_figure


class Drawn:
    """What the figures of reconstructions are given, without their being drawn."""

    def __init__(self, reported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[list[ImageRow]] = []
        self.active = torch.zeros(0)

        def rows(given: list[ImageRow]) -> Any:
            self.rows.append(given)
            return new_figure(20, 20)

        def latent(knowledge: Tensor, *, active: Tensor) -> Any:
            self.active = active
            return new_figure(20, 20)

        monkeypatch.setattr(reconstruction, "image_rows_figure", rows)
        monkeypatch.setattr(reconstruction, "latent_figure", latent)
        pictures = reconstruction.reconstruction_pictures(reported.model, reported.evaluation, reported.data.classes)
        self.names = [picture.name for picture in pictures]


@pytest.fixture
def drawn(reported: Any, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    return Drawn(reported, monkeypatch)


def test_every_kind_of_picture_is_there(drawn: Drawn) -> None:
    assert drawn.names == ["reconstructions", "interpolations", "traversal", "samples", "latent"]


def test_reconstructions_go_from_the_best_to_the_worst(drawn: Drawn, reported: Any) -> None:
    originals, reconstructed = drawn.rows[0]
    errors = (originals.images - reconstructed.images).square().flatten(1).mean(1)
    all_errors = reported.evaluation.outputs.reconstructed.mse

    assert len(errors) == 12
    assert errors.tolist() == sorted(errors.tolist())
    assert errors[0] == pytest.approx(float(all_errors.min()), rel=1e-4)
    assert errors[-1] == pytest.approx(float(all_errors.max()), rel=1e-4)
    assert list(reconstructed.captions) == [f"{error:#.3g}" for error in errors]


def test_interpolations_are_straight_lines_between_images_of_different_classes(drawn: Drawn, reported: Any) -> None:
    means, labels = reported.evaluation.outputs.reconstructed.mean, reported.evaluation.outputs.labels
    with torch.no_grad():
        decoded = reported.model.decode(means)

    assert len(drawn.rows[1]) == 6
    for row in drawn.rows[1]:
        ends = [
            int((decoded - image).square().flatten(1).mean(1).argmin()) for image in (row.images[0], row.images[-1])
        ]
        names = [reported.data.classes[labels[end]] for end in ends]
        with torch.no_grad():
            middle = reported.model.decode((means[ends[0]] + means[ends[1]])[None] / 2)[0]
        assert (row.name, row.note) == (names[0], f"to {names[1]}")
        assert names[0] != names[1]
        assert torch.allclose(row.images[5], middle, atol=1e-5)


def test_a_traversal_changes_one_dimension_the_most_informative_first(drawn: Drawn, reported: Any) -> None:
    latents, knowledge = reported.evaluation.outputs.reconstructed, reported.evaluation.figures["kl_per_dimension"]
    middle = latents.mse.argsort(stable=True)[len(latents.mse) // 2]
    dimensions = sorted(range(len(knowledge)), key=lambda dimension: -knowledge[dimension])[: len(drawn.rows[2])]

    assert [row.name for row in drawn.rows[2]] == [f"dim. {dimension}" for dimension in dimensions]
    for row, dimension in zip(drawn.rows[2], dimensions, strict=True):
        # From the second to the ninety-eighth of a hundred images, in order of this dimension.
        low, high = np.percentile(latents.mean[:, dimension], [2, 98])
        for image, value in ((row.images[0], low), (row.images[5], (low + high) / 2), (row.images[10], high)):
            latent = latents.mean[middle].clone()
            latent[dimension] = value
            with torch.no_grad():
                assert torch.allclose(image, reported.model.decode(latent[None])[0], atol=1e-5)


def test_samples_come_from_the_prior_and_are_the_same_every_time(drawn: Drawn, reported: Any) -> None:
    with torch.no_grad():
        expected = reported.model.sample(36, torch.Generator().manual_seed(0))

    assert torch.equal(torch.cat([row.images for row in drawn.rows[3]]), expected)


def test_as_many_dimensions_are_drawn_active_as_are_counted(drawn: Drawn, reported: Any) -> None:
    assert int(drawn.active.sum()) == reported.evaluation.figures["active_units"]
