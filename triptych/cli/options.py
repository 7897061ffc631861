"""Options that several verbs share."""

from pathlib import Path

import click

HELP = {"help_option_names": ["-h", "--help"]}

config_option = click.option(
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    help="The YAML file that describes the run.",
)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change a value of the file; repeatable, validated like the file.",
)
