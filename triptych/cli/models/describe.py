"""`triptych describe`: parameters and FLOPs per image of a config's model, by part."""

from pathlib import Path

import click

from triptych.cli.options import HELP, set_option, takes_config
from triptych.text import terminal_lines


@click.command(short_help="Show the size of a config's model.", context_settings=HELP)
@takes_config
@set_option
def describe(*, path: Path, overrides: tuple[str, ...]) -> None:
    """Show the parameters and FLOPs per image of the model of CONFIG, by part."""
    from triptych.config import load_config

    config = load_config(path, overrides)

    from triptych.inspection.describe import describe as described

    click.echo(terminal_lines(described(config).format()))
