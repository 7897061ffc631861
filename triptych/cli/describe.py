"""`triptych describe`: the model of a config, in parameters and FLOPs per image, part by part."""

from pathlib import Path

import click

from triptych.cli.options import HELP, config_option, set_option


@click.command(short_help="Show how large a config's model is.", context_settings=HELP)
@config_option
@set_option
def describe(*, path: Path, overrides: tuple[str, ...]) -> None:
    """Show the parameters and FLOPs per image of a config's model, by part."""
    from triptych.config import load_config

    config = load_config(path, overrides)

    from triptych.data.builder import class_names
    from triptych.data.holdout import held_out_labels
    from triptych.models.builder import build_model
    from triptych.models.summary import model_summary

    config, classes = class_names(config)
    held_out = held_out_labels(config.evaluation.holdout_classes, classes)
    model = build_model(config, num_classes=len(classes) - len(held_out), pixel_mean=0.0, pixel_std=1.0)
    channels, height, width = config.dataset.image_shape
    click.echo(f"{type(model).__name__} for {height}x{width}x{channels} images of {config.dataset.title}\n")
    click.echo(model_summary(model).format())
