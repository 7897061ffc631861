"""The Lightning data module: a data set read, split and padded once, and its loaders for every stage."""

import torch
from lightning import LightningDataModule
from torch import Tensor

from triptych.config.schema import RunConfig
from triptych.data.augmentation import Augmentation
from triptych.data.holdout import held_out_labels, hold_out, positions_of_known
from triptych.data.images import ImageData, Split
from triptych.data.loader import Batch, BatchLoader
from triptych.data.mapped import padded, parts
from triptych.data.sampling import BalancedBatchSampler
from triptych.data.split import stratified_split
from triptych.data.triplets import ImageDataset, TripletDataset
from triptych.errors import DataError

DEVICE_SHARE = 0.25
"""Largest share of a GPU's free memory that the images may take; beyond it they stay in main memory."""

COUNTED_AT_ONCE = 1024
"""Images of which pixel statistics hold the pixels at a time."""


class ImageDataModule(LightningDataModule):
    """Training, validation and test images of one run.

    The validation split is taken from the training images, stratified and seeded. Only the training images are
    augmented. Images stay uint8 tensors; on a GPU they move to the device when they fit.

    Attributes:
        classes: The names of the classes that training knows, in the order of the labels.
        train, validation, test: Images of these classes.
        holdout: Test images of the classes that `evaluation.holdout_classes` keeps from training, numbered among
            themselves; none where it is empty.
        holdout_classes: Their names.
        positions: Where the images of "train" and "validation" stand in the data set's own training file, and those of
            "test" in its test file: (N,) int64 each.

    Raises:
        ConfigError: `evaluation.holdout_classes` names no such classes, or leaves too few.
        DataError: No validation images can be held out.
    """

    def __init__(self, config: RunConfig, data: ImageData) -> None:
        super().__init__()
        self.config = config
        self.augmentation = Augmentation(**config.dataset.augmentation.model_dump())
        held = held_out_labels(config.evaluation.holdout_classes, data.classes)
        self.classes = tuple(name for label, name in enumerate(data.classes) if label not in held)
        self.holdout_classes = tuple(data.classes[label] for label in held)
        known, _ = hold_out(data.train, held, num_classes=len(data.classes))
        test, holdout = hold_out(data.test, held, num_classes=len(data.classes))
        fraction, seed = config.dataset.validation_fraction, config.training.seed
        try:
            train, validation = stratified_split(known.labels, fraction=fraction, seed=seed)
        except ValueError as error:
            raise DataError(f"No validation images can be held out ({data.origin}): {error}.") from error
        in_file = positions_of_known(data.train, held)
        self.positions = {
            "train": in_file[train],
            "validation": in_file[validation],
            "test": positions_of_known(data.test, held),
        }
        padding = config.dataset.pad
        self.train = _padded(known.select(train), padding)
        self.validation = _padded(known.select(validation), padding)
        self.test = _padded(test, padding)
        self.holdout = _padded(holdout, padding)

    def pixel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation of each channel of the training images, pixels in [0, 1]."""
        histogram = torch.zeros(self.train.images.shape[1], 256, dtype=torch.float64)
        for images in parts(self.train.images, COUNTED_AT_ONCE):
            histogram += torch.stack([torch.bincount(one.flatten(), minlength=256) for one in images.unbind(1)]).cpu()
        weights = histogram / histogram.sum(1, keepdim=True)
        levels = torch.arange(256, dtype=torch.float64) / 255
        mean = weights @ levels
        deviation = (weights @ levels.square() - mean.square()).clamp_min(0).sqrt()
        return tuple(mean.tolist()), tuple(deviation.tolist())

    def sample(self, size: int) -> Tensor:
        """Return training images, `size` or all there are, drawn from the seed: uint8 (n, C, H, W)."""
        generator = torch.Generator().manual_seed(self.config.training.seed)
        drawn = torch.randperm(len(self.train), generator=generator)[:size]
        return self.train.images[drawn]

    def setup(self, stage: str) -> None:
        """Move the images to the GPU that trains, when they fit."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        splits = {"fit": ("train", "validation"), "validate": ("validation",), "test": ("test",)}[stage]
        for name in splits:
            split: Split = getattr(self, name)
            if device.type == "cuda" and split.images.nbytes < DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
                setattr(self, name, Split(split.images.to(device), split.labels.to(device)))

    def train_dataloader(self) -> BatchLoader:
        """Shuffled, augmented batches; triplets where the config draws them instead of mining them."""
        training = self.config.training
        plain = round(training.epochs * self.config.dataset.unaugmented_share)
        kind = TripletDataset if training.triplet_mining == "random" else ImageDataset
        dataset = kind(
            self.train.images,
            self.train.labels,
            augment=self.augmentation,
            augmented_epochs=training.epochs - plain,
            seed=training.seed,
        )
        return self._loader(dataset, shuffle=True)

    def val_dataloader(self) -> BatchLoader:
        """Validation batches, in order."""
        return self._loader(ImageDataset(self.validation.images, self.validation.labels), shuffle=False)

    def test_dataloader(self) -> BatchLoader:
        """Test batches, in order."""
        return self._loader(ImageDataset(self.test.images, self.test.labels), shuffle=False)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Copy what is not there yet."""
        return batch.to(device)

    def _loader(self, dataset: ImageDataset | TripletDataset, *, shuffle: bool) -> BatchLoader:
        sampler = BalancedBatchSampler(
            len(dataset),
            batch_size=self.config.dataset.batch_size,
            shuffle=shuffle,
            seed=self.config.training.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )
        return BatchLoader(dataset, sampler)


def _padded(split: Split, pixels: int) -> Split:
    return Split(padded(split.images, pixels), split.labels)
