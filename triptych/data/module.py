"""The Lightning data module: a data set read, split and padded once, and its loaders for every stage."""

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
"""Largest share of a GPU's free memory that the images may take; beyond it they stay in main memory."""

COUNTED_AT_ONCE = 1024
"""Images of which pixel statistics and digests hold the pixels at a time."""

PIXELS = " pixels"
"""What follows a split's name where the digest is that of its pixels."""


class ImageDataModule(LightningDataModule):
    """Training, validation and test images of one run.

    Where the data set has no validation images, some of the training images are taken, stratified and seeded. Only
    training images are augmented. Images stay uint8; on a GPU they move to the device when they fit.

    Attributes:
        title: What people call the data set.
        notes: What is unusual about its images, in sentences.
        classes: The names of the classes that training knows, in the order of the labels.
        train, validation, test: Images of these classes.
        holdout: Test images of the classes that `evaluation.holdout_classes` keeps from training, numbered among
            themselves; none where it is empty.
        holdout_classes: Their names.
        positions: Where the images of "train", "validation" and "test" stand in the data set's own training,
            validation and test images; without validation images of its own, those stand in the training images: (N,)
            int64 each.

    Raises:
        ConfigError: `evaluation.holdout_classes` names no such classes, or too few remain.
        DataError: No validation images can be held out.
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
        """Return digests of each split, of its files and labels and of its pixels: other images change them."""
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
        """Return in words which splits have other images than when `digests` was saved; nothing where none has.

        Args:
            saved: What `digests` returned then, as a checkpoint holds it; anything else is no information.
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
        """Return training images, `size` or all there are, drawn from the seed: uint8 (n, C, H, W)."""
        generator = torch.Generator().manual_seed(self.config.training.seed)
        drawn = torch.randperm(len(self.train), generator=generator)[:size]
        return self.train.images[drawn]

    def setup(self, stage: str) -> None:  # noqa: ARG002 # as Lightning calls it
        """Move the images to the GPU that trains, when they fit."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        for name in ("train", "validation"):
            split: Split = getattr(self, name)
            if device.type == "cuda" and split.images.nbytes < DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
                moved = replace(split, images=split.images.to(device), labels=split.labels.to(device))
                setattr(self, name, moved)

    def train_dataloader(self) -> BatchLoader:
        """Augmented batches, sampled by the config; triplets where it draws them instead of mining them."""
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
        """Validation batches in a fixed random order; triplets where training draws them instead of mining them."""
        split, seed = self.validation, self.config.training.seed
        sampler = FixedBatchSampler(len(split), batch_size=self.config.dataset.batch_size, **self._process())
        return BatchLoader(self._dataset_kind()(split.images, split.labels, seed=seed), sampler)

    def _dataset_kind(self) -> type[TripletDataset] | type[ImageDataset]:
        return TripletDataset if self.config.training.triplet_mining == "random" else ImageDataset

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Copy what is not there yet."""
        return batch.to(device)

    def _training_sampler(self) -> BalancedBatchSampler:
        """Choose how images form batches.

        Raises:
            ConfigError: The batch is to hold more classes than there are.
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
        """Return the seed, which process this is, and how many there are, as samplers take them."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return {"seed": self.config.training.seed, "rank": rank, "world_size": world_size}
