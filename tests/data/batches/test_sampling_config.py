"""What dataset.sampling, classes_per_batch and images_per_class become in the data module."""

from types import SimpleNamespace

import pytest
import torch

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.errors import ConfigError

CLASSES = tuple(str(digit) for digit in range(10))
SIZES = [90, 60, 40, 30, 20, 10, 6, 4, 3, 2]


def module(*, world_size: int = 1, rank: int = 0, mining: str = "semihard", **dataset: object) -> ImageDataModule:
    config = RunConfig.model_validate(
        {
            "dataset": {"name": "digits", "batch_size": 48, "validation_fraction": 0.3, **dataset},
            "model": {"patch_size": 2},
            "training": {"triplet_mining": mining, "seed": 3},
        }
    )
    labels = torch.arange(10).repeat_interleave(torch.tensor(SIZES))
    pixels = torch.randint(0, 256, (len(labels), 1, 8, 8), generator=torch.Generator().manual_seed(1))
    split = Split(pixels.to(torch.uint8), labels)
    data = ImageDataModule(config, ImageData(split, split, CLASSES, "made by the test"))
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size)
    return data


def class_counts(data: ImageDataModule) -> list[list[int]]:
    return [batch.label.bincount(minlength=10).tolist() for batch in data.train_dataloader()]


def test_by_default_every_image_comes_once_an_epoch() -> None:
    data = module()

    index = torch.cat([batch.index for batch in data.train_dataloader()])

    assert sorted(index.tolist()) == list(range(len(data.train)))


@pytest.mark.parametrize("mining", ["random", "semihard"])
def test_class_balanced_epochs_hold_all_classes_equally_often_with_triplets_too(mining: str) -> None:
    data = module(sampling="class_balanced", mining=mining)

    batches = list(data.train_dataloader())

    counts = torch.cat([batch.label for batch in batches]).bincount().tolist()
    assert counts == [counts[0]] * 10
    assert abs(10 * counts[0] - len(data.train)) <= 5
    assert all(len(batch.label) <= 48 and (batch.positive is None) == (mining != "random") for batch in batches)


def test_pk_batches_hold_p_classes_of_k_images() -> None:
    data = module(sampling="pk", classes_per_batch=8, images_per_class=6)
    sizes = data.train.labels.bincount().tolist()

    for counts in class_counts(data):
        assert 7 <= sum(count > 0 for count in counts) <= 8
        assert all(count in (0, min(6, size)) for count, size in zip(counts, sizes, strict=True))


def test_pk_left_open_takes_all_classes_and_fills_the_batch() -> None:
    data = module(sampling="pk")

    for counts in class_counts(data):
        assert counts == [min(4, size) for size in data.train.labels.bincount().tolist()]


def test_processes_share_batches_of_more_classes_and_then_of_more_images() -> None:
    for world_size, keys, whole in (
        (2, {"classes_per_batch": 4, "images_per_class": 6}, {"classes_per_batch": 8, "images_per_class": 6}),
        (4, {"classes_per_batch": 5, "images_per_class": 6}, {"classes_per_batch": 10, "images_per_class": 12}),
    ):
        size = keys["classes_per_batch"] * keys["images_per_class"]
        alone = module(sampling="pk", batch_size=size * world_size, **whole)
        shares = [
            module(sampling="pk", batch_size=size, world_size=world_size, rank=rank, **keys)
            for rank in range(world_size)
        ]
        parts = zip(*([batch.index for batch in share.train_dataloader()] for share in shares), strict=True)
        expected = [batch.index for batch in alone.train_dataloader()]
        assert all(torch.equal(torch.cat(part), batch) for part, batch in zip(parts, expected, strict=True))


@pytest.mark.parametrize("sampling", ["class_balanced", "pk"])
def test_validation_has_every_image_once(sampling: str) -> None:
    data = module(sampling=sampling)

    indices = torch.cat([batch.index for batch in data.val_dataloader()])
    assert sorted(indices.tolist()) == list(range(len(data.validation)))


def test_more_classes_than_there_are_is_an_error_with_what_would_fit() -> None:
    data = module(sampling="pk", classes_per_batch=12, images_per_class=4)

    with pytest.raises(ConfigError, match=r"dataset.sampling pk: 12 classes of 4 .* 10 classes; expected at most 10"):
        data.train_dataloader()
