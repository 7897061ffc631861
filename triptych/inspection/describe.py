"""Describes the model of a config before training: parameters and FLOPs by part; for `triptych describe`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.config.loader import ConfigLike, load_config

if TYPE_CHECKING:
    from triptych.models.summary import ModelSummary


@dataclass(frozen=True)
class Description:
    """The model of a config.

    Attributes:
        model: Name of its class.
        data: Title of the images.
        image_shape: Channels, height and width of the model input.
        classes: Names of the classes that it learns.
        summary: Parameters and FLOPs per image, by part.
    """

    model: str
    data: str
    image_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    summary: "ModelSummary"

    def format(self) -> str:
        """Return a heading and a table, as `triptych describe` prints them."""
        channels, height, width = self.image_shape
        return f"{self.model} for {height}x{width}x{channels} images of {self.data}\n\n{self.summary.format()}"


def describe(config: ConfigLike, overrides: Sequence[str] = ()) -> Description:
    """Build the model of a config, and count its parameters and FLOPs per image. Images are listed, to count classes.

    Args:
        config: The path of a YAML file, a mapping of the same form, or a loaded config.
        overrides: Each `section.key=value`, as in the command line's `--set`.

    Raises:
        ConfigError: The config is invalid.
        DataError, DownloadError: The images cannot be listed, or the pretrained encoder cannot be loaded.

    Example:
        >>> found = describe({"dataset": {"name": "digits"}, "model": {"patch_size": 2}})
        >>> found.model, found.image_shape, found.summary.total.parameters > 100_000
        ('MultiTaskImageTransformer', (1, 8, 8), True)
    """
    run = load_config(config, overrides)

    from triptych.data.builder import class_names
    from triptych.data.splits.holdout import held_out_labels
    from triptych.models.builder import build_model
    from triptych.models.summary import model_summary

    run, names = class_names(run)
    held_out = held_out_labels(run.evaluation.holdout_classes, names)
    classes = tuple(name for label, name in enumerate(names) if label not in held_out)
    model = build_model(run, num_classes=len(classes), pixel_mean=0.0, pixel_std=1.0)
    return Description(type(model).__name__, run.dataset.title, run.dataset.image_shape, classes, model_summary(model))
