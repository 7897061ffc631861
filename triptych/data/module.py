"""The Lightning data module: reads, splits and pads a data set once, and builds its loaders."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import torch
from lightning import LightningDataModule
from torch import Tensor

from triptych.config.schema import RunConfig
from triptych.data.augment.augmentation import Augmentation
from triptych.data.batches.class_sampling import ClassBalancedBatchSampler, PKBatchSampler, fill_batch
from triptych.data.batches.loader import Batch, BatchLoader
from triptych.data.batches.sampling import BalancedBatchSampler, FixedBatchSampler
from triptych.data.batches.triplets import ImageDataset, TripletDataset
from triptych.data.images import ImageData, Split
from triptych.data.pixels.mapped import padded, parts
from triptych.data.splits.dividing import with_validation
from triptych.data.splits.holdout import held_out_labels, hold_out
from triptych.errors import ConfigError

DEVICE_SHARE = 0.25
"""Maximum share of a GPU's free memory for the images; otherwise they stay in main memory."""

COUNTED_AT_ONCE = 1024
"""Number of images that pixel statistics and digests read at a time."""

PIXELS = " pixels"
"""Suffix of a split's name for the digest of its pixels."""


class ImageDataModule(LightningDataModule):
    """Training, validation and test images of one run.

    If the data set has no validation images, a stratified, seeded sample of the training images is used. Only training
    images are augmented. Images stay uint8; they are moved to the GPU if they fit.

    Attributes:
        title: Display name of the data set.
        notes: Warnings about its images, in sentences.
        classes: The names of the classes in training, in the order of the labels.
        train, validation, test: Images of these classes.
        holdout: Test images of the held-out classes (`evaluation.holdout_classes`), with their own labels from 0; empty
            if there are none.
        holdout_classes: Their names.
        positions: Positions of the images of "train", "validation" and "test" in the data set's own training,
            validation and test images (in the training images, if it has no validation images): (N,) int64 each.

    Raises:
        ConfigError: `evaluation.holdout_classes` contains unknown classes, or too few remain.
        DataError: No validation images can be taken from training.
    """

    def __init__(self, config: RunConfig, data: ImageData) -> None:
        super().__init__()
        self.config = config
        self.augmentation = Augmentation(**config.dataset.augmentation.model_dump())
        dataset = config.dataset
        data = with_validation(data, fraction=dataset.validation_fraction, seed=dataset.split_seed)
        assert data.validation is not None
        held = held_out_labels(config.evaluation.holdout_classes, data.classes)
        self.classes = tuple(name for label, name in enumerate(data.classes) if label not in held)
        self.holdout_classes = tuple(data.classes[label] for label in held)
        self.title, self.notes = data.title or dataset.title, data.notes
        train, _ = hold_out(data.train, held, num_classes=len(data.classes))
        validation, _ = hold_out(data.validation, held, num_classes=len(data.classes))
        test, holdout = hold_out(data.test, held, num_classes=len(data.classes))
        self.train, self.validation, self.test, self.holdout = (
            replace(split, images=padded(split.images, dataset.pad)) for split in (train, validation, test, holdout)
        )
        self.positions = {
            name: torch.arange(len(split)) if split.positions is None else split.positions
            for name, split in (("train", self.train), ("validation", self.validation), ("test", self.test))
        }

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

    def digests(self) -> dict[str, str]:
        """Return digests of the files and labels and of the pixels of each split, to detect changed images."""
        found = {}
        for name, split in {"train": self.train, "val": self.validation, "test": self.test}.items():
            digest = hashlib.blake2b(split.labels.cpu().numpy().tobytes(), digest_size=16)
            for file in split.names or ():
                digest.update(f"{file}\n".encode(errors="surrogateescape"))
            found[name] = digest.hexdigest()
            pixels = hashlib.blake2b(digest_size=16)
            for part in parts(split.images, COUNTED_AT_ONCE):
                pixels.update(part.cpu().contiguous().numpy().data)
            found[f"{name}{PIXELS}"] = pixels.hexdigest()
        return found

    def changed_since(self, saved: object) -> str:
        """Describe which splits have changed since `digests` was saved; empty if none has.

        Args:
            saved: The saved result of `digests`, as in a checkpoint; anything else is ignored.
        """
        if not isinstance(saved, Mapping):
            return ""
        changed = [name for name, digest in self.digests().items() if saved.get(name, digest) != digest]
        listed = [name for name in changed if not name.endswith(PIXELS)]
        replaced = [
            split for name in changed if name.endswith(PIXELS) and (split := name.removesuffix(PIXELS)) not in listed
        ]
        how = [
            *([f"added, removed or relabelled ({', '.join(listed)})"] if listed else []),
            *([f"replaced or edited ({', '.join(replaced)})"] if replaced else []),
        ]
        if not how:
            return ""
        leaked = ", and test images may have been trained on" if listed else ""
        return f"since training began, images were {' and '.join(how)}: figures from before are not comparable{leaked}"

    def sample(self, size: int) -> Tensor:
        """Return a seeded sample of `size` training images, or all if there are fewer: uint8 (n, C, H, W)."""
        generator = torch.Generator().manual_seed(self.config.training.seed)
        drawn = torch.randperm(len(self.train), generator=generator)[:size]
        return self.train.images[drawn]

    def setup(self, stage: str) -> None:  # noqa: ARG002 # Lightning's signature
        """Move the images to the training GPU if they fit."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        for name in ("train", "validation"):
            split: Split = getattr(self, name)
            if device.type == "cuda" and split.images.nbytes < DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
                moved = replace(split, images=split.images.to(device), labels=split.labels.to(device))
                setattr(self, name, moved)

    def train_dataloader(self) -> BatchLoader:
        """Return augmented batches, sampled by the config; triplets if they are drawn instead of mined."""
        training = self.config.training
        plain = round(training.epochs * self.config.dataset.unaugmented_share)
        dataset = self._dataset_kind()(
            self.train.images,
            self.train.labels,
            augment=self.augmentation,
            augmented_epochs=training.epochs - plain,
            seed=training.seed,
        )
        return BatchLoader(dataset, self._training_sampler())

    def val_dataloader(self) -> BatchLoader:
        """Return validation batches in a fixed random order; triplets if training draws them instead of mining."""
        split, seed = self.validation, self.config.training.seed
        sampler = FixedBatchSampler(len(split), batch_size=self.config.dataset.batch_size, **self._process())
        return BatchLoader(self._dataset_kind()(split.images, split.labels, seed=seed), sampler)

    def _dataset_kind(self) -> type[TripletDataset] | type[ImageDataset]:
        return TripletDataset if self.config.training.triplet_mining == "random" else ImageDataset

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Copy tensors that are not on the device yet."""
        return batch.to(device)

    def _training_sampler(self) -> BalancedBatchSampler:
        """Choose the batch sampler of training.

        Raises:
            ConfigError: The batch requires more classes than there are.
        """
        dataset, labels, process = self.config.dataset, self.train.labels.cpu(), self._process()
        if dataset.sampling == "shuffle":
            return BalancedBatchSampler(len(labels), batch_size=dataset.batch_size, shuffle=True, **process)
        if dataset.sampling == "class_balanced":
            return ClassBalancedBatchSampler(labels, batch_size=dataset.batch_size, **process)
        try:
            filled = fill_batch(
                dataset.batch_size,
                num_classes=len(torch.unique(labels)),
                classes_per_batch=dataset.classes_per_batch,
                images_per_class=dataset.images_per_class,
                world_size=process["world_size"],
            )
        except ValueError as error:
            raise ConfigError(f"dataset.sampling pk: {error}") from error
        return PKBatchSampler(labels, **filled._asdict(), **process)

    def _process(self) -> dict[str, int]:
        """Return the seed, rank and number of processes, as arguments of a sampler."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return {"seed": self.config.training.seed, "rank": rank, "world_size": world_size}
