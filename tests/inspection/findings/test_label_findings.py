"""Faults planted in the numbers of images, each of which is named, and nothing else."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.inspection.findings.finding import Finding, Severity
from triptych.inspection.findings.label_findings import label_findings

PLENTY = {"train": [100, 100, 100], "validation": [20, 20, 20], "test": [20, 20, 20]}


def split_of(sizes: Sequence[int]) -> Split:
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return Split(torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), labels)


def found(sizes: dict[str, Any], *, mining: str = "semihard", **dataset: object) -> dict[str, Finding]:
    config = RunConfig.model_validate(
        {
            "dataset": {"name": "digits", "batch_size": 32, **dataset},
            "model": {"patch_size": 2},
            "training": {"triplet_mining": mining},
        }
    )
    parts = {name: split_of(counts) for name, counts in sizes.items()}
    classes = tuple("abcdefghijklmnopqrstuvwxyz"[: len(sizes["train"])])
    data = ImageData(parts["train"], parts["test"], classes, "made by the test", validation=parts["validation"])
    findings = label_findings(config, ImageDataModule(config, data))
    assert len({finding.topic for finding in findings}) == len(findings)
    return {finding.topic: finding for finding in findings}


def test_plenty_gets_no_finding() -> None:
    assert found(PLENTY) == {}


def test_a_class_of_one_image_is_named() -> None:
    findings = found({**PLENTY, "train": [20, 1, 2]})

    assert findings["single images"].severity is Severity.WARNING
    assert findings["single images"].examples == ("b",)
    assert "The class b has a single training image" in findings["single images"].text


def test_classes_that_no_test_measures_are_named() -> None:
    findings = found({**PLENTY, "validation": [60, 0, 0], "test": [0, 0, 60]})

    assert findings["no validation images"].examples == ("b", "c")
    assert findings["no validation images"].severity is Severity.NOTE
    assert findings["no test images"].examples == ("a", "b")
    assert findings["no test images"].severity is Severity.WARNING


@pytest.mark.parametrize(("sampling", "severity"), [("shuffle", "warning"), ("class_balanced", "note"), ("pk", "note")])
def test_imbalance_is_a_warning_unless_sampling_deals_with_it(sampling: str, severity: str) -> None:
    findings = found({**PLENTY, "train": [200, 100, 20]}, sampling=sampling)

    assert findings.keys() == {"imbalance"}
    assert findings["imbalance"].severity == severity
    assert "a (200 images), has 10 times as many images as the smallest, c (20)" in findings["imbalance"].text
    assert found({**PLENTY, "train": [199, 100, 20]}, sampling=sampling) == {}


def test_batches_without_pairs_are_a_warning() -> None:
    many = {name: [12] * 26 for name in PLENTY}

    assert found(many, batch_size=8).keys() == {"pairs"}
    assert found(many, batch_size=64) == {}
    assert found(many, batch_size=8, sampling="pk") == {}
    assert found(many, batch_size=8, mining="random") == {}


def test_the_share_of_paired_images_is_that_of_many_drawn_batches() -> None:
    sizes = [40] + [2] * 25

    text = found({**PLENTY, "train": sizes, "validation": [9] * 26, "test": [9] * 26}, batch_size=4)["pairs"].text

    labels = torch.arange(26).repeat_interleave(torch.tensor(sizes))
    generator = torch.Generator().manual_seed(0)
    batches = torch.stack([labels[torch.randperm(90, generator=generator)[:4]] for _ in range(4000)])
    paired = ((batches[:, :, None] == batches[:, None, :]).sum(2) > 1).float().mean()
    printed = float(text.removeprefix("Only ").split("%", maxsplit=1)[0]) / 100
    assert printed == pytest.approx(float(paired), abs=0.03)


def test_batches_that_cannot_be_formed_are_wrong() -> None:
    findings = found(PLENTY, sampling="pk", classes_per_batch=4, images_per_class=8)

    assert findings["batches"].severity is Severity.ERROR
    assert "there are 3 classes" in findings["batches"].text


def test_few_images_make_rough_figures() -> None:
    findings = found({**PLENTY, "test": [10, 10, 20]})

    assert findings.keys() == {"few test images"}
    assert "steps of 2.5%" in findings["few test images"].text
