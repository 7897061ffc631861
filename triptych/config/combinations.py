"""Combinations of valid values that no run can have, found before any data is read."""

from collections.abc import Callable, Mapping
from math import gcd, lcm
from typing import Any, NamedTuple

from triptych.config.datasets import OWN_IMAGES, image_shape
from triptych.config.loss_terms import LOSS_TERMS
from triptych.config.report import Invalid, shown

BACKBONE_LIBRARIES = ("hf", "timm", "module")
"""Accepted before the colon of `model.backbone`; `module:` names a module that Python hands over (`encoder=`)."""

OF_OWN_ENCODER = ("model.patch_size", "model.embed_dim", "model.num_heads")
"""Keys that a pretrained encoder ignores."""


class _Images(NamedTuple):
    """The value that checks get for `dataset.name`."""

    name: str
    shape: tuple[int | None, int, int] | None
    """Channels, height and width, if known."""


def invalid_combinations(values: Mapping[str, Any]) -> list[Invalid]:
    """Find every invalid combination among `values`, which maps dotted keys to values that are valid alone.

    Checks whose keys are not all in `values` are skipped, so that one invalid value hides no other error.

    Example:
        >>> invalid_combinations({"model.embed_dim": 32, "model.num_heads": 3})[0].text
        'embed_dim 32 is not divisible by num_heads 3; expected embed_dim 24 or 36, or num_heads 1, 2, 4, 8, 16 or 32'
        >>> invalid_combinations({"model.embed_dim": 32})
        []
    """
    found = []
    for keys, check in _CHECKS:
        if values.get("model.backbone") and keys[0] in OF_OWN_ENCODER:
            continue
        if values.keys() >= set(keys) and (text := check(*(_argument(key, values) for key in keys))):
            found.append(Invalid(tuple(tuple(key.split(".")) for key in keys), text))
    return found


def flat_values(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested sections to one mapping from dotted keys to values.

    Example:
        >>> flat_values({"training": {"epochs": 3, "scheduler": {"name": "none"}}})
        {'training.epochs': 3, 'training.scheduler.name': 'none'}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flat_values(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _argument(key: str, values: Mapping[str, Any]) -> object:
    if key != "dataset.name":
        return values[key]
    name = values[key]
    return _Images(name, image_shape(name, values.get("dataset.image_size"), values.get("dataset.channels")))


def _own_images_have_a_place(root: str | None, images: _Images) -> str | None:
    if root or images.name not in OWN_IMAGES:
        return None
    places = {"folder": "the folder of images", "table": "the CSV or Parquet file"}
    place = places.get(images.name, "the folder or hub name of the data set")
    return f"{images.name} needs dataset.root; expected {place}; got null"


def _own_images_have_a_size(image_size: object, images: _Images) -> str | None:
    if (image_size is None) != (images.name in OWN_IMAGES):
        return None
    if image_size is None:
        return (
            f"{images.name} needs dataset.image_size; expected the size in pixels that images are resized to, such as "
            "64, or [height, width]; got null"
        )
    return _for_own_images_alone(image_size, images)


def _only_own_images_have_channels(channels: int | None, images: _Images) -> str | None:
    return None if channels is None or images.name in OWN_IMAGES else _for_own_images_alone(channels, images)


def _for_own_images_alone(value: object, images: _Images) -> str:
    return f"expected null, because the images of {images.name} keep their own; got {value}"


def _a_backbone_names_its_library(backbone: str | None) -> str | None:
    library, colon, name = (backbone or "").partition(":")
    if backbone is None or (library in BACKBONE_LIBRARIES and name.strip()):
        return None
    meant = "" if colon else f"; did you mean {shown(f'hf:{backbone}')}?"
    return (
        "expected hf: and the name or folder of a vision model of Hugging Face transformers, timm: and the name of a "
        f"timm model, or null; got {shown(backbone)}{meant}"
    )


def _only_a_backbone_has_a_mode(mode: str, backbone: str | None) -> str | None:
    if backbone or mode == "frozen":
        return None
    return (
        f"backbone_mode {mode} needs a pretrained encoder, and model.backbone is null; expected a backbone such as "
        "hf:facebook/dinov2-small, or no backbone_mode"
    )


def _only_fine_tuning_decays_by_layer(layer_decay: float, mode: str) -> str | None:
    if layer_decay == 1 or mode == "finetune":
        return None
    return (
        f"layer_decay {layer_decay:g} needs a pretrained encoder that is fine-tuned; expected 1, or "
        "model.backbone_mode finetune"
    )


def _only_pk_counts_classes(number: int | None, sampling: str) -> str | None:
    if number is None or sampling == "pk":
        return None
    return f"got {number} with dataset.sampling {sampling}; expected null, or dataset.sampling pk"


def _two_of_two_classes_fit_the_batch(batch_size: int, sampling: str) -> str | None:
    if sampling != "pk" or batch_size >= 4:
        return None
    return f"dataset.sampling pk needs two images of two classes; expected batch_size 4 or more; got {batch_size}"


def _half_the_batch_is_left(number: int | None, other: int | None, batch_size: int, sampling: str) -> str | None:
    # If both are given, their product is checked; a batch that is too small for any is reported by another check.
    if sampling != "pk" or number is None or other is not None or batch_size < 4 or 2 * number <= batch_size:
        return None
    return f"expected at most {batch_size // 2}, half of dataset.batch_size {batch_size}; got {number}"


def _classes_by_images_fill_the_batch(
    classes_per_batch: int | None, images_per_class: int | None, batch_size: int, sampling: str
) -> str | None:
    if sampling != "pk" or classes_per_batch is None or images_per_class is None:
        return None
    images = classes_per_batch * images_per_class
    if images == batch_size:
        return None
    return (
        f"classes_per_batch {classes_per_batch} times images_per_class {images_per_class} is {images} images; "
        f"expected dataset.batch_size {images} instead of {batch_size}, or null for one of the two"
    )


def _pk_is_for_mined_triplets(sampling: str, triplet_mining: str) -> str | None:
    if sampling != "pk" or triplet_mining != "random":
        return None
    return (
        "dataset.sampling pk builds batches for triplet mining, and training.triplet_mining random draws triplets from "
        "all images; expected sampling class_balanced or shuffle, or triplet_mining semihard, hard or all"
    )


def _heads_divide_the_width(embed_dim: int, num_heads: int) -> str | None:
    if embed_dim % num_heads == 0:
        return None
    widths = _multiples_around(embed_dim, lcm(num_heads, 4))
    heads = _either(_divisors(embed_dim)[:8])
    return (
        f"embed_dim {embed_dim} is not divisible by num_heads {num_heads}; "
        f"expected embed_dim {widths}, or num_heads {heads}"
    )


def _four_divides_the_width(embed_dim: int) -> str | None:
    if embed_dim % 4 == 0:
        return None
    return (
        f"embed_dim {embed_dim} is not divisible by 4, as the position encoding of rows and columns requires; "
        f"expected embed_dim {_multiples_around(embed_dim, 4)}"
    )


def _patches_fill_the_image(patch_size: int, pad: int, images: _Images) -> str | None:
    if images.shape is None:
        return None
    _, height, width = images.shape
    padded_height, padded_width = height + 2 * pad, width + 2 * pad
    if padded_height % patch_size == padded_width % patch_size == 0:
        return None
    side = gcd(padded_height, padded_width)
    fitting = _either(_divisors(side))
    # Padding of more than half an image on a side is never intended.
    pads = [p for p in range(min(height, width) // 2 + 1) if gcd(height + 2 * p, width + 2 * p) % patch_size == 0]
    padded = f" ({height}x{width} and dataset.pad {pad})" if pad else ""
    return (
        f"patch_size {patch_size} does not divide the {padded_height}x{padded_width} images of {images.name}{padded}; "
        f"expected patch_size {fitting}" + (f", or dataset.pad {pads[0]}" if pads else "")
    )


def _colour_needs_colour_images(strength: float, images: _Images) -> str | None:
    if strength == 0 or images.shape is None or images.shape[0] in (3, None):
        return None
    kind = "grey" if images.shape[0] == 1 else f"of {images.shape[0]} channels"
    return f"expected 0, because the images of {images.name} are {kind}; got {strength}"


def _crop_leaves_an_image(crop_padding: int, pad: int, images: _Images) -> str | None:
    if images.shape is None:
        return None
    side = min(images.shape[1:]) + 2 * pad
    if crop_padding < side:
        return None
    return (
        f"expected less than the image side of {images.name}, {side}, so that every crop overlaps the image; "
        f"got {crop_padding}"
    )


def _warmup_ends_before_the_run(warmup_epochs: float, epochs: int) -> str | None:
    if warmup_epochs < epochs:
        return None
    return (
        f"warmup_epochs {warmup_epochs:g} is not shorter than training.epochs {epochs}; "
        "expected a shorter warm-up or more epochs"
    )


def _kl_warmup_ends_with_the_run(kl_warmup_epochs: float, epochs: int, multitask: bool) -> str | None:
    if kl_warmup_epochs <= epochs or not multitask:
        return None
    return (
        f"kl_warmup_epochs {kl_warmup_epochs:g} is longer than training.epochs {epochs}, so that kl_weight is never "
        "reached; expected a shorter warm-up or more epochs"
    )


def _some_weight_is_positive(multitask: bool, *weights: float) -> str | None:
    # The triplet loss of the simple mode has no weight.
    if any(weights) or not multitask:
        return None
    *others, last = (f"{name}_weight" for name in LOSS_TERMS)
    return f"all weights of the multi-task loss are 0; expected at least one of {', '.join(others)} and {last} above 0"


def _semihard_needs_a_margin(margin: float | None, triplet_mining: str) -> str | None:
    if margin is not None or triplet_mining != "semihard":
        return None
    return (
        "margin null selects the soft margin, and triplet_mining semihard needs a number, because its negatives lie "
        "within the margin; expected a margin such as 0.2, or triplet_mining random, all or hard"
    )


def _half_precision_needs_a_gpu(precision: str, accelerator: str) -> str | None:
    if precision != "16-mixed" or accelerator != "cpu":
        return None
    return "precision 16-mixed does not run on accelerator cpu; expected bf16-mixed, 32-true or auto"


def _multiples_around(number: int, step: int) -> str:
    below = number // step * step
    return _either([multiple for multiple in (below, below + step) if multiple])


def _divisors(number: int) -> list[int]:
    # Bounded, so that a huge number costs no time.
    return [divisor for divisor in range(1, min(number, 64) + 1) if number % divisor == 0]


def _either(numbers: list[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}" if others else last


_P_AND_K = ("dataset.classes_per_batch", "dataset.images_per_class")

_CHECKS: tuple[tuple[tuple[str, ...], Callable[..., str | None]], ...] = (
    (("dataset.root", "dataset.name"), _own_images_have_a_place),
    (("dataset.image_size", "dataset.name"), _own_images_have_a_size),
    (("dataset.channels", "dataset.name"), _only_own_images_have_channels),
    (("dataset.classes_per_batch", "dataset.sampling"), _only_pk_counts_classes),
    (("dataset.images_per_class", "dataset.sampling"), _only_pk_counts_classes),
    (("dataset.batch_size", "dataset.sampling"), _two_of_two_classes_fit_the_batch),
    ((*_P_AND_K, "dataset.batch_size", "dataset.sampling"), _half_the_batch_is_left),
    ((*reversed(_P_AND_K), "dataset.batch_size", "dataset.sampling"), _half_the_batch_is_left),
    ((*_P_AND_K, "dataset.batch_size", "dataset.sampling"), _classes_by_images_fill_the_batch),
    (("dataset.sampling", "training.triplet_mining"), _pk_is_for_mined_triplets),
    (("model.backbone",), _a_backbone_names_its_library),
    (("model.backbone_mode", "model.backbone"), _only_a_backbone_has_a_mode),
    (("training.layer_decay", "model.backbone_mode"), _only_fine_tuning_decays_by_layer),
    (("model.embed_dim", "model.num_heads"), _heads_divide_the_width),
    (("model.embed_dim",), _four_divides_the_width),
    (("model.patch_size", "dataset.pad", "dataset.name"), _patches_fill_the_image),
    (("dataset.augmentation.brightness", "dataset.name"), _colour_needs_colour_images),
    (("dataset.augmentation.contrast", "dataset.name"), _colour_needs_colour_images),
    (("dataset.augmentation.saturation", "dataset.name"), _colour_needs_colour_images),
    (("dataset.augmentation.hue", "dataset.name"), _colour_needs_colour_images),
    (("dataset.augmentation.crop_padding", "dataset.pad", "dataset.name"), _crop_leaves_an_image),
    (("training.scheduler.warmup_epochs", "training.epochs"), _warmup_ends_before_the_run),
    (("training.kl_warmup_epochs", "training.epochs", "training.use_multitask_loss"), _kl_warmup_ends_with_the_run),
    (("training.use_multitask_loss", *(f"training.{name}_weight" for name in LOSS_TERMS)), _some_weight_is_positive),
    (("training.margin", "training.triplet_mining"), _semihard_needs_a_margin),
    (("training.precision", "training.accelerator"), _half_precision_needs_a_gpu),
)
"""Each check, preceded by the keys whose values it takes; the key to change first comes first."""
