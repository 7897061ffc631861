"""The argument and options of the verbs that take a trained model."""

from pathlib import Path

import click

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
