"""Arguments and options that several verbs share."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

HELP = {"help_option_names": ["-h", "--help"]}

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change a value of the config; repeatable, validated like the file.",
)


def takes_config(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb its config as the argument `path`: as CONFIG on the command line, or after --config."""

    @wraps(verb)
    def with_path(*, config: Path | None, config_option: Path | None, **others: Any) -> None:  # noqa: ANN401
        if (config is None) == (config_option is None):
            got = "none" if config is None else f"two ({config} and {config_option})"
            raise click.UsageError(f"Expected one config, a YAML file, as in `triptych train run.yaml`; got {got}.")
        verb(path=config or config_option, **others)

    of_path = click.Path(path_type=Path)
    option = click.option("--config", "config_option", type=of_path, metavar="CONFIG", help="The same as CONFIG.")
    return click.argument("config", metavar="CONFIG", type=of_path, required=False)(option(with_path))


model_argument = click.argument("model", metavar="MODEL")
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where to write; by default the run's version folder.",
)
output_option = click.option(
    "--output",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="The output directory of the runs, for a MODEL such as digits/3; by default the working directory.",
)
root_option = click.option(
    "--root",
    metavar="PLACE",
    help="Where the images of the run are now (dataset.root); by default where training found them.",
)
