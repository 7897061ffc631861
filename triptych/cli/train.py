"""`triptych train`, and `python run.py`: from a YAML file and labelled images to a tested model."""

import os
from pathlib import Path

import click

from triptych.cli.options import HELP, set_option, takes_config

LATEST = "the last checkpoint of the latest run"


@click.command(short_help="Train a model and test its best epoch.", context_settings=HELP)
@takes_config
@set_option
@click.option("--epochs", type=int, metavar="N", help="Short for --set training.epochs=N.")
@click.option("--seed", type=int, metavar="N", help="Short for --set training.seed=N.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value=LATEST,
    metavar="[PATH]",
    help="Resume from PATH; without PATH, from the latest run's last checkpoint.",
)
@click.option(
    "--output",
    default=".",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The output directory; by default the current folder.",
)
def train(
    *,
    path: Path,
    overrides: tuple[str, ...],
    epochs: int | None,
    seed: int | None,
    resume: str | None,
    output: Path,
) -> None:
    """Train a model on the images of CONFIG and test its best epoch.

    Writes checkpoints, logs, metrics and pictures below the output directory.
    """
    import triptych

    if resume is None:
        _check_writable(output)
    resumed: bool | str = resume is not None if resume is None or resume == LATEST else resume
    triptych.train(path, epochs=epochs, seed=seed, output=output, overrides=overrides, resume=resumed)


def _check_writable(output: Path) -> None:
    """Create the output directory, or report at once why nothing can be written there."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(output, os.W_OK | os.X_OK) else "Permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise click.BadParameter(
            f"expected a folder that can be written; got {output}: {reason}", param_hint="--output"
        )
