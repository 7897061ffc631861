"""Wrong tensors are rejected with the argument's name, what was expected, what came, and what to do."""

import re

import pytest
import torch
from torch import Tensor

from triptych.visualisation.paper.checks import require_images, require_labels

IMAGES = torch.rand(2, 3, 8, 8)


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (torch.rand(3, 8, 8), r"\(3, 8, 8\); give one image as image\[None\]"),
        (torch.rand(2, 0, 8, 8), r"\(2, 0, 8, 8\)"),
        (torch.rand(0, 1, 8, 8), r"B at least 1, but its shape is \(0, 1, 8, 8\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"floats in \[0, 1\], but its type is torch.uint8; .*/ 255"),
        (torch.rand(2, 1, 8, 8), r"the shape of anchors, \(2, 3, 8, 8\), but its shape is \(2, 1, 8, 8\); give"),
        (torch.rand(3, 3, 8, 8), r"the shape of anchors, \(2, 3, 8, 8\), but its shape is \(3, 3, 8, 8\); give"),
    ],
)
def test_images_that_are_none_are_rejected_by_name(images: Tensor, received: str) -> None:
    with pytest.raises(ValueError, match=f"^positives must .*{received}"):
        require_images({"anchors": IMAGES, "positives": images})


@pytest.mark.parametrize(
    ("labels", "received"),
    [
        (torch.tensor([0, 1, 2]), "2 integers, of shape (2,), but the shape is (3,)"),
        (torch.tensor([[0, 1]]), "but the shape is (1, 2)"),
        (torch.tensor([0.0, 1.0]), "the type torch.float32; give the class number"),
        (torch.tensor([0, 3]), "0 to 2, as 3 classes are named, but they go from 0 to 3; give"),
        (torch.tensor([-1, 0]), "0 to 2, as 3 classes are named, but they go from -1 to 0"),
    ],
)
def test_labels_that_fit_nothing_are_rejected_by_name(labels: Tensor, received: str) -> None:
    with pytest.raises(ValueError, match=f"^negative_labels must .*{re.escape(received)}"):
        require_labels("negative_labels", labels, count=2, num_classes=3)


def test_fitting_images_and_labels_pass() -> None:
    require_images({"anchors": IMAGES, "positives": IMAGES.half()})
    require_labels("labels", torch.tensor([0, 2], dtype=torch.int32), count=2, num_classes=3)
