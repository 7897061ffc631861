"""Chooses the values of a config for given images, each with a reason.

Learning rates, losses and augmentation are those of the shipped configs, transferred to other sizes and numbers of
images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import NamedTuple

from triptych.inspection.flips import Flips
from triptych.inspection.suggestion.commented import Chosen
from triptych.inspection.suggestion.image_size import SMALL, Size, choose_fit, requested_size, size_of, usual_side

PAIRS = 1
"""Images per class that a shuffled batch should contain on average, so that many anchors have positives."""
PER_CLASS = 4
"""Images per class in a batch if shuffling would give fewer (Hermans et al., 2017)."""
IMBALANCED = 10
"""Ratio of the largest to the smallest class from which on rare classes are drawn more often."""
BATCH_PIXELS = 4_000_000
"""Most pixels of a batch: training keeps about one kilobyte for each between forward and backward pass."""
STEPS = 12
"""Steps per epoch, about, unless the batch would be too small or too large."""
SMALLEST_BATCH = 32
"""Images of a batch at least, for the statistics of batch normalisation; fewer if there are fewer."""
LARGEST_BATCH = 512
FEW = 4000
"""Images below which a tenth would be too few for the test."""
EPOCHS_EXPONENT = 0.1
"""Of 50,000 images over those of the training, for the epochs: 20 of 50,000 images, 30 of 900."""
FEWEST_STEPS = 300
"""Steps of a training at least, which decides for fewer than about 500 images: 100 epochs of 90 images."""
FEW_TO_AVERAGE = 500
"""Training images below which half of the steps are averaged: a quarter of few steps averages too little."""
LARGE = 20_000
"""Images from which on a wider model is worth its time."""


@dataclass(frozen=True)
class Facts:
    """Facts about the images, and what the user has decided.

    Attributes:
        name: `dataset.name`.
        root: `dataset.root`.
        counts: Training images of each class, including those that will be held out.
        has_validation: Whether the data have a validation split.
        has_test: Whether the data have a test split.
        sizes: Heights and widths of a sample.
        channels: Channels of most images.
        unreadable: Images of the sample that cannot be decoded.
        flips: The decision about horizontal flips.
        columns: `dataset.columns`, as far as they are given.
        image_size: Height and width, if the user has decided.
        epochs: `training.epochs`, if the user has decided.
    """

    name: str
    root: str
    counts: Sequence[int]
    has_validation: bool
    has_test: bool
    sizes: Sequence[tuple[int, int]]
    channels: int
    unreadable: int
    flips: Flips
    columns: Mapping[str, str] = field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    epochs: int | None = None


class Shape(NamedTuple):
    """A model for images up to a size.

    Attributes:
        largest: Largest shorter side of the images.
        patch_size: `model.patch_size`; likewise the others.
        latent_dim: If there are enough images.
        principal_components: Likewise.
    """

    largest: float
    patch_size: int
    embed_dim: int
    num_heads: int
    num_layers: int
    latent_dim: int
    principal_components: int


SHAPES = (
    Shape(16, 2, 64, 4, 1, 16, 32),
    Shape(SMALL, 8, 128, 4, 1, 64, 128),
    Shape(112, 8, 128, 4, 1, 64, 128),
    Shape(160, 16, 128, 4, 1, 64, 128),
    Shape(float("inf"), 16, 192, 6, 1, 64, 128),
)
"""digits.yaml, mnist.yaml, and for larger images what keeps 8x8 to 14x14 tokens."""
WIDE_SHAPE = {"embed_dim": 512, "num_heads": 8, "num_layers": 2}
"""For a GPU."""
COARSE_SHAPE = {"embed_dim": 192, "num_heads": 6}
"""That of cifar10.yaml, for many small images."""


class _Plan(NamedTuple):
    """The sizes of a run."""

    size: Size
    shape: Shape
    validation_fraction: float
    test_fraction: float
    train: int
    batch_size: int
    steps: int
    epochs: int


def suggest(facts: Facts, *, has_gpu: bool) -> dict[str, Chosen]:
    """Choose a complete config: values by key path, in the order of the file."""
    plan = _plan(facts, has_gpu=has_gpu)
    sections = {
        "dataset": _dataset(facts, plan, has_gpu=has_gpu),
        "dataset.augmentation": _augmentation(facts, plan.size),
        "model": _model(facts, plan),
        "training": _training(plan),
        "logging": _logging(plan),
    }
    return {f"{section}.{key}": chosen for section, values in sections.items() for key, chosen in values.items()}


def _plan(facts: Facts, *, has_gpu: bool) -> _Plan:
    images = sum(facts.counts)
    given = facts.image_size
    side = min(given) if given else usual_side(facts.sizes, images=images, has_gpu=has_gpu)
    shape = next(one for one in SHAPES if one.largest >= side)
    if images >= LARGE and shape.largest == SMALL:
        shape = shape._replace(**COARSE_SHAPE)
    if images >= LARGE and has_gpu:
        shape = shape._replace(**WIDE_SHAPE)
    if given:
        size, patch_size = requested_size(*given, patch_size=shape.patch_size)
        shape = shape._replace(patch_size=patch_size)
    else:
        size = size_of(side, facts.sizes, patch_size=shape.patch_size)
    # The result of a test on a tenth of few images would be noisy. Validation decides little, and training needs them.
    test_fraction = 0 if facts.has_test else 0.1 if images >= FEW else 0.2
    validation_fraction = 0 if facts.has_validation else 0.1
    train = max(2, round(images * (1 - test_fraction - validation_fraction)))
    wanted = min(LARGEST_BATCH, max(SMALLEST_BATCH, _power_of_two(train / STEPS)))
    batch_size = min(wanted, max(4, _power_of_two(BATCH_PIXELS / size.pixels)))
    steps = ceil(train / batch_size)
    usual = round(20 * max(1, 50_000 / train) ** EPOCHS_EXPONENT)
    epochs = facts.epochs or max(usual, ceil(FEWEST_STEPS / steps))
    return _Plan(size, shape, validation_fraction, test_fraction, train, batch_size, steps, epochs)


def _dataset(facts: Facts, plan: _Plan, *, has_gpu: bool) -> dict[str, Chosen]:
    size = plan.size
    fit = choose_fit(size, facts.sizes, keeps_all=not facts.flips.helpful)
    place = "relative to the working directory"
    chosen = {
        "name": Chosen(facts.name),
        "root": Chosen(facts.root, "" if facts.root.startswith(("/", "~")) else place),
        "image_size": Chosen(
            size.height if size.height == size.width else [size.height, size.width],
            _why_size(facts, plan, has_gpu=has_gpu),
        ),
        **{f"columns.{key}": Chosen(name) for key, name in facts.columns.items()},
        "channels": Chosen(facts.channels, {1: "grey, as most images", 3: "colours"}.get(facts.channels, "")),
        "fit": Chosen(fit.how, fit.reason),
    }
    if facts.unreadable:
        chosen["on_corrupt"] = Chosen("skip", "leave out images that cannot be decoded; error: stop and list them")
    chosen["batch_size"] = Chosen(plan.batch_size, f"{plan.steps:,} steps per epoch")
    if sampling := _sampling(facts.counts, plan.batch_size):
        chosen["sampling"] = sampling
        if sampling.value == "pk":
            chosen["images_per_class"] = Chosen(PER_CLASS)
    if plan.validation_fraction:
        chosen["validation_fraction"] = Chosen(plan.validation_fraction)
    if plan.test_fraction:
        few = "a tenth would be too few for an accurate result" if plan.test_fraction > 0.1 else ""
        chosen["test_fraction"] = Chosen(plan.test_fraction, few)
    if size.pad:
        height, width = size.height + 2 * size.pad, size.width + 2 * size.pad
        chosen["pad"] = Chosen(size.pad, f"pixels: {height}x{width}, a multiple of the patch size")
    return chosen


def _augmentation(facts: Facts, size: Size) -> dict[str, Chosen]:
    if facts.flips.helpful:
        padding = max(1, round(min(size.height, size.width) / 16))
        return {
            "horizontal_flip": Chosen(0.5, facts.flips.reason),
            "crop_padding": Chosen(padding, "pixels"),
        }
    return {
        "horizontal_flip": Chosen(0, f"none: {facts.flips.reason}"),
        "rotation": Chosen(10, "degrees in either direction"),
        "translate": Chosen(0.1, "of the image side"),
        "scale": Chosen(0.1),
    }


def _model(facts: Facts, plan: _Plan) -> dict[str, Chosen]:
    shape, size = plan.shape, plan.size
    rows, columns = ((side + 2 * size.pad) // shape.patch_size for side in (size.height, size.width))
    # More components than an eighth of the images would be measured on too few.
    eighth = _power_of_two(plan.train / 8)
    latent_dim = min(shape.latent_dim, max(32, eighth))
    components = min(shape.principal_components, max(8, eighth))
    classes = len(facts.counts)
    same_both_ways = "an image and its mirror image have the same embedding, for twice the time of evaluation"
    mirrors = {"mirror_averaging": Chosen(True, same_both_ways)} if facts.flips.helpful else {}
    return {
        "patch_size": Chosen(shape.patch_size, f"{rows} x {columns} tokens"),
        "embed_dim": Chosen(shape.embed_dim),
        "num_heads": Chosen(shape.num_heads),
        "num_layers": Chosen(
            shape.num_layers, "the convolutions before it do most of the work" if shape.num_layers == 1 else ""
        ),
        **mirrors,
        "latent_dim": Chosen(latent_dim, "learned dimensions, used by the embedding"),
        "principal_components": Chosen(components, "fixed dimensions, for the reconstruction"),
        "embedding_dim": Chosen(max(32, min(256, _power_of_two(12 * classes))), f"for {classes:,} classes"),
        "decoder_dim": Chosen(64 if shape.embed_dim == WIDE_SHAPE["embed_dim"] else 32),
    }


def _training(plan: _Plan) -> dict[str, Chosen]:
    # About a tenth of the steps, and less than an epoch, so that a run of one epoch is valid too.
    warmup = round(min(0.9, 0.1 * plan.epochs), 2)
    return {
        "epochs": Chosen(plan.epochs, f"{plan.epochs * plan.steps:,} steps"),
        "learning_rate": Chosen(0.003, "of AdamW, for heads and decoder"),
        "muon_learning_rate": Chosen(0.05, "of Muon, for filters and matrices inside the encoder"),
        "weight_decay": Chosen(0.02),
        "scheduler.name": Chosen("LinearLR", "to zero"),
        "scheduler.warmup_epochs": Chosen(warmup),
        "averaged_share": Chosen(
            0.5 if plan.train < FEW_TO_AVERAGE else 0.25,
            "of the steps, the last ones: the average of their weights generalises better",
        ),
        "label_smoothing": Chosen(0.1),
        "triplet_mining": Chosen("semihard"),
        "triplet_weight": Chosen(0.5),
        "reconstruction_loss": Chosen("gaussian"),
        "reconstruction_weight": Chosen(0.2),
        "kl_weight": Chosen(0.2, "as reconstruction_weight: together 0.2 times the evidence lower bound"),
        "early_stopping.enabled": Chosen(False, "the last epochs, with the lowest learning rates, are the best"),
    }


def _logging(plan: _Plan) -> dict[str, Chosen]:
    return {
        "log_every_n_steps": Chosen(max(1, min(20, plan.steps // 2))),
        "reconstruction_every": Chosen(max(1, plan.epochs // 10), "epochs between two pictures in TensorBoard"),
    }


def _sampling(counts: Sequence[int], batch_size: int) -> Chosen | None:
    """Choose a sampling if shuffled batches would lack pairs or classes."""
    if batch_size < PAIRS * len(counts):
        reason = f"shuffled batches would have {batch_size / len(counts):.1f} images per class, too few for triplets"
        return Chosen("pk", reason)
    ratio = max(counts) / min(counts)
    if ratio >= IMBALANCED:
        return Chosen("class_balanced", f"the largest class has {ratio:,.0f} times as many images as the smallest")
    return None


def _why_size(facts: Facts, plan: _Plan, *, has_gpu: bool) -> str:
    if facts.image_size:
        return "as requested" if facts.image_size == (plan.size.height, plan.size.width) else "close to the request"
    height, width = (round(median(side)) for side in zip(*facts.sizes, strict=True))
    if max(height, width) <= SMALL:
        return "the size of all images" if len(set(facts.sizes)) == 1 else f"the median is {height}x{width}"
    if min(plan.size.height, plan.size.width) * 2 > min(height, width):
        return f"the median is {height}x{width}"
    limit = f"more needs more than {sum(facts.counts):,} images" if has_gpu else "more takes very long without a GPU"
    return f"the median is {height}x{width}; {limit}"


def _power_of_two(number: float) -> int:
    """Round down to a power of two, at least 1."""
    return 1 << max(0, int(number).bit_length() - 1)
