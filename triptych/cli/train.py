"""`triptych train`, and `python run.py`: from a YAML file and labelled images to a tested model."""

import os
from pathlib import Path

import click

from triptych.cli.options import HELP, set_option, takes_config

NEWEST = "the newest run's last checkpoint"


@click.command(short_help="Train a model and test its best epoch.", context_settings=HELP)
@takes_config
@set_option
@click.option("--epochs", type=int, metavar="N", help="Short for --set training.epochs=N.")
@click.option("--seed", type=int, metavar="N", help="Short for --set training.seed=N.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[PATH]",
    help="Go on from a checkpoint, in its own version folder; without PATH from the newest run's last one.",
)
@click.option(
    "--output",
    default=".",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The root of everything that is written; by default the current folder.",
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
    """Train a model, test its best epoch, and leave checkpoints, logs, metrics and pictures."""
    from triptych.config import load_config

    shorthands = [f"training.{key}={value}" for key, value in (("epochs", epochs), ("seed", seed)) if value is not None]
    config = load_config(path, [*overrides, *shorthands])
    if resume is None:
        _check_writable(output)

    # Lightning takes seconds to import: errors in the config and the options are reported first.
    from rich.console import Console

    from triptych.training.checkpoints.resuming import resumption
    from triptych.training.train import train as run_training

    console = Console()
    saved = None
    if resume is not None:
        saved = resumption(config, output=output, path=None if resume == NEWEST else Path(resume))
        came_from = saved.path or "its start: it was stopped before it had saved anything"
        console.print(
            f"[bold]  resumes[/bold]  version_{saved.version} from {came_from}", highlight=False, soft_wrap=True
        )
    run_training(config, output=output, resume=saved, console=console)


def _check_writable(output: Path) -> None:
    """Create the output root, or say at once why nothing can be written there."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(output, os.W_OK | os.X_OK) else "Permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise click.BadParameter(
            f"expected a folder that can be written; got {output}: {reason}", param_hint="--output"
        )
