"""The combinations of keys that no run can have, each of them allowed alone: checked before any data is read."""

from collections.abc import Callable, Mapping
from math import gcd, lcm
from typing import Any

from triptych.config.image_shapes import IMAGE_SHAPES
from triptych.config.mistakes import Mistake


def combination_mistakes(values: Mapping[str, Any]) -> list[Mistake]:
    """Find every impossible combination among `values`, which maps dotted keys to values that are right alone.

    A check whose keys are not all in `values` is left out, so that a wrong value elsewhere hides nothing.

    Example:
        >>> combination_mistakes({"model.embed_dim": 32, "model.num_heads": 3})[0].text
        'embed_dim 32 is not divisible by num_heads 3; expected embed_dim 24 or 36, or num_heads 1, 2, 4, 8, 16 or 32'
        >>> combination_mistakes({"model.embed_dim": 32})
        []
    """
    found = []
    for keys, check in _CHECKS:
        if values.keys() >= set(keys) and (text := check(*(values[key] for key in keys))):
            found.append(Mistake(tuple(tuple(key.split(".")) for key in keys), text))
    return found


def flat_values(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested sections into one mapping from dotted keys to values.

    Example:
        >>> flat_values({"training": {"epochs": 3, "scheduler": {"name": "none"}}})
        {'training.epochs': 3, 'training.scheduler.name': 'none'}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flat_values(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


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
        f"embed_dim {embed_dim} is not divisible by 4, which the sines and cosines of rows and columns need; "
        f"expected embed_dim {_multiples_around(embed_dim, 4)}"
    )


def _patches_fill_the_image(patch_size: int, pad: int, dataset: str) -> str | None:
    _, height, width = IMAGE_SHAPES[dataset]
    padded_height, padded_width = height + 2 * pad, width + 2 * pad
    if padded_height % patch_size == padded_width % patch_size == 0:
        return None
    side = gcd(padded_height, padded_width)
    fitting = _either(_divisors(side))
    # No more than half an image on either side: beyond that, nobody means padding.
    pads = [p for p in range(min(height, width) // 2 + 1) if gcd(height + 2 * p, width + 2 * p) % patch_size == 0]
    padded = f" ({height}x{width} and dataset.pad {pad})" if pad else ""
    return (
        f"patch_size {patch_size} does not divide the {padded_height}x{padded_width} images of {dataset}{padded}; "
        f"expected patch_size {fitting}" + (f", or dataset.pad {pads[0]}" if pads else "")
    )


def _colour_needs_colour_images(strength: float, dataset: str) -> str | None:
    if strength == 0 or IMAGE_SHAPES[dataset][0] == 3:
        return None
    return f"expected 0, because the images of {dataset} are grey; got {strength}"


def _crop_leaves_an_image(crop_padding: int, pad: int, dataset: str) -> str | None:
    side = min(IMAGE_SHAPES[dataset][1:]) + 2 * pad
    if crop_padding < side:
        return None
    return f"expected less than the images' side, {side}, or a crop may hold nothing of {dataset}; got {crop_padding}"


def _warmup_ends_before_the_run(warmup_epochs: float, epochs: int) -> str | None:
    if warmup_epochs < epochs:
        return None
    return (
        f"warmup_epochs {warmup_epochs:g} leaves nothing of training.epochs {epochs}; "
        "expected a shorter warm-up or more epochs"
    )


def _kl_warmup_ends_with_the_run(kl_warmup_epochs: float, epochs: int, multitask: bool) -> str | None:
    if kl_warmup_epochs <= epochs or not multitask:
        return None
    return (
        f"kl_warmup_epochs {kl_warmup_epochs:g} is longer than epochs {epochs}, so that kl_weight is "
        "never reached; expected a shorter warm-up or more epochs"
    )


def _something_is_learnt(multitask: bool, *weights: float) -> str | None:
    # The simple mode always learns: its triplet loss has no weight.
    if any(weights) or not multitask:
        return None
    return (
        "every weight of the multi-task loss is 0, so that there is nothing to learn; expected at least one of "
        "triplet_weight, classification_weight, reconstruction_weight and kl_weight above 0"
    )


def _semihard_needs_a_margin(margin: float | None, triplet_mining: str) -> str | None:
    if margin is not None or triplet_mining != "semihard":
        return None
    return (
        "margin null is the soft margin, and triplet_mining semihard needs a number: its negatives lie "
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
    # Up to a bound that no sensible answer exceeds, so that a vast number costs no time.
    return [divisor for divisor in range(1, min(number, 64) + 1) if number % divisor == 0]


def _either(numbers: list[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}" if others else last


_CHECKS: tuple[tuple[tuple[str, ...], Callable[..., str | None]], ...] = (
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
    (
        (
            "training.use_multitask_loss",
            "training.triplet_weight",
            "training.classification_weight",
            "training.reconstruction_weight",
            "training.kl_weight",
        ),
        _something_is_learnt,
    ),
    (("training.margin", "training.triplet_mining"), _semihard_needs_a_margin),
    (("training.precision", "training.accelerator"), _half_precision_needs_a_gpu),
)
"""Each check after the keys whose values it takes, the likeliest culprit first."""
