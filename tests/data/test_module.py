from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.errors import DataError

CLASSES = tuple(str(digit) for digit in range(10))


def config(**sections: dict[str, object]) -> RunConfig:
    return RunConfig.model_validate(
        {
            "dataset": {"name": "digits", "batch_size": 16, **sections.get("dataset", {})},
            "model": {"patch_size": 2},
            "training": sections.get("training", {}),
        }
    )


def images(size: int, channels: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (size, channels, 8, 8), generator=generator).to(torch.uint8)
    return Split(pixels, torch.arange(size) % 10)


def module(channels: int = 1, **sections: dict[str, object]) -> ImageDataModule:
    data = ImageData(images(200, channels, seed=1), images(50, channels, seed=2), CLASSES, "made by the test")
    return ImageDataModule(config(**sections), data)


def rows(*tensors: Tensor) -> list[bytes]:
    return sorted(image.numpy().tobytes() for tensor in tensors for image in tensor)


def test_the_validation_images_are_a_stratified_share_of_the_training_images() -> None:
    data = module(dataset={"validation_fraction": 0.2})

    assert rows(data.train.images, data.validation.images) == rows(images(200, 1, seed=1).images)
    assert data.validation.labels.bincount().tolist() == [4] * 10
    assert torch.equal(data.test.images, images(50, 1, seed=2).images)


def test_the_split_seed_chooses_the_validation_images() -> None:
    same, other = module(training={"seed": 1}), module(dataset={"split_seed": 1})

    assert torch.equal(same.validation.images, module().validation.images)
    assert not torch.equal(same.validation.images, other.validation.images)


def test_padding_is_black_on_every_side_of_every_split() -> None:
    plain, padded = module(), module(dataset={"pad": 2})

    for name in ("train", "validation", "test"):
        inside, whole = getattr(plain, name).images, getattr(padded, name).images
        assert whole.shape[-2:] == (12, 12)
        assert torch.equal(whole[..., 2:-2, 2:-2], inside)
        assert whole.sum() == inside.sum()


@pytest.mark.parametrize("channels", [1, 3])
def test_pixel_statistics_are_those_of_the_training_images_alone(channels: int) -> None:
    data = module(channels)

    mean, deviation = data.pixel_statistics()

    pixels = data.train.images.numpy().astype(np.float64) / 255
    assert mean == pytest.approx(pixels.mean(axis=(0, 2, 3)), abs=1e-9)
    assert deviation == pytest.approx(pixels.std(axis=(0, 2, 3)), abs=1e-9)


def test_only_training_images_are_augmented_and_shuffled() -> None:
    data = module(dataset={"augmentation": {"rotation": 20.0}})

    train = torch.cat([batch.anchor for batch in data.train_dataloader()])
    index = torch.cat([batch.index for batch in data.train_dataloader()])
    assert not torch.equal(train, data.train.images[index].float() / 255)
    assert index.tolist() != sorted(index.tolist())
    validated = torch.cat([batch.index for batch in data.val_dataloader()])
    shown = torch.cat([batch.anchor for batch in data.val_dataloader()])
    assert torch.equal(shown, data.validation.images[validated].float() / 255)


def test_validation_has_one_fixed_random_order() -> None:
    loader = module().val_dataloader()

    orders = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        orders.append(torch.cat([batch.index for batch in loader]))

    assert torch.equal(*orders)
    assert sorted(orders[0].tolist()) == list(range(len(orders[0])))
    assert orders[0].tolist() != list(range(len(orders[0])))


@pytest.mark.parametrize(("share", "augmented"), [(0.0, 4), (0.25, 3), (0.6, 2), (1.0, 0)])
def test_the_last_epochs_may_show_images_as_they_are(share: float, augmented: int) -> None:
    data = module(dataset={"augmentation": {"rotation": 20.0}, "unaugmented_share": share}, training={"epochs": 4})
    loader = data.train_dataloader()

    for epoch in range(4):
        loader.sampler.set_epoch(epoch)
        batch = next(iter(loader))
        assert torch.equal(batch.anchor, data.train.images[batch.index].float() / 255) == (epoch >= augmented)


@pytest.mark.parametrize("mining", ["random", "all", "semihard", "hard"])
def test_triplets_are_drawn_where_they_are_not_mined(mining: str) -> None:
    data = module(training={"triplet_mining": mining})

    batch = next(iter(data.train_dataloader()))

    assert (batch.positive is None) == (batch.negative is None) == (mining != "random")
    assert (next(iter(data.val_dataloader())).positive is None) == (mining != "random")


def test_processes_share_every_batch_between_them() -> None:
    alone = module(dataset={"batch_size": 32})
    shares = []
    for rank in range(2):
        share = module(dataset={"batch_size": 16})
        share.trainer = SimpleNamespace(global_rank=rank, world_size=2)
        shares.append(share)

    for name in ("train_dataloader", "val_dataloader"):
        whole = [batch.index for batch in getattr(alone, name)()]
        parts = zip(*([batch.index for batch in getattr(share, name)()] for share in shares), strict=True)
        assert all(torch.equal(torch.cat(part), batch) for part, batch in zip(parts, whole, strict=True))


@pytest.mark.parametrize(("free", "moves"), [(10**9, True), (4_000, False)])
def test_images_move_to_the_gpu_when_they_fit(monkeypatch: pytest.MonkeyPatch, free: int, moves: bool) -> None:
    gpu = torch.device("cuda", 0)
    moved: list[tuple[int, ...]] = []

    def record(tensor: Tensor, device: torch.device) -> Tensor:
        assert device == gpu
        moved.append(tuple(tensor.shape))
        return tensor

    data = module()
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=gpu))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    monkeypatch.setattr(Tensor, "to", record)

    data.setup("fit")

    assert moved == ([(180, 1, 8, 8), (180,), (20, 1, 8, 8), (20,)] if moves else [])


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_on_a_cpu_the_images_stay_where_they_are(stage: str) -> None:
    data = module()
    before = (data.train, data.validation, data.test)

    data.setup(stage)

    assert all(old is new for old, new in zip(before, (data.train, data.validation, data.test), strict=True))


def test_a_training_set_that_can_spare_no_validation_image_is_a_clear_error() -> None:
    lone = images(10, 1, seed=1)
    data = ImageData(lone, images(50, 1, seed=2), CLASSES, "made by the test")

    with pytest.raises(DataError, match=r"validation.*made by the test.*two images.*add images"):
        ImageDataModule(config(), data)


def test_held_out_classes_are_kept_from_all_that_training_sees() -> None:
    held = RunConfig.model_validate(
        {"dataset": {"name": "digits"}, "model": {"patch_size": 2}, "evaluation": {"holdout_classes": [9, "7"]}}
    )
    train, test = images(200, 1, seed=1), images(50, 1, seed=2)

    data = ImageDataModule(held, ImageData(train, test, CLASSES, "made by the test"))

    is_known = ~torch.isin(train.labels, torch.tensor([7, 9]))
    assert data.classes == ("0", "1", "2", "3", "4", "5", "6", "8")
    assert rows(data.train.images, data.validation.images) == rows(train.images[is_known])
    assert data.test.labels.bincount().tolist() == [5] * 8
    assert data.holdout_classes == ("7", "9")
    for name, split, source in (
        ("train", data.train, train),
        ("validation", data.validation, train),
        ("test", data.test, test),
    ):
        assert torch.equal(source.images[data.positions[name]], split.images)
    for label, digit in enumerate((7, 9)):
        assert torch.equal(data.holdout.images[data.holdout.labels == label], test.images[test.labels == digit])


def test_nothing_is_held_out_unless_requested() -> None:
    data = module()

    assert (len(data.holdout), data.holdout_classes, data.classes) == (0, (), CLASSES)


def test_other_files_or_labels_are_recognised_as_changed_and_the_same_are_not() -> None:
    data = module()
    saved = data.digests()

    assert module().changed_since(saved) == ""
    assert data.changed_since(None) == data.changed_since("unknown") == ""
    data.train = data.train.select(torch.arange(len(data.train) - 1))
    changed = data.changed_since(saved)
    assert "images were added, removed or relabelled (train): figures" in changed
    assert "test images may have been trained on" in changed  # the images are divided anew


def test_images_that_were_replaced_under_their_names_are_recognised() -> None:
    data = module()
    saved = data.digests()
    data.test.images[3, 0, 4, 4] ^= 1

    changed = data.changed_since(saved)
    assert changed.endswith("images were replaced or edited (test): figures from before are not comparable")
    older = {name: digest for name, digest in saved.items() if not name.endswith("pixels")}
    assert data.changed_since(older) == ""  # of a checkpoint without digests of pixels
    data.train = data.train.select(torch.arange(len(data.train) - 1))
    assert "relabelled (train) and replaced or edited (test): figures" in data.changed_since(saved)
