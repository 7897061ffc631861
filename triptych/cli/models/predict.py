"""`triptych predict`: classify images with a trained model."""

import csv
import sys
from pathlib import Path

import click

from triptych.cli.options import HELP, model_argument, output_option, root_option


@click.command(short_help="Classify images with a trained model.", context_settings=HELP)
@model_argument
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@root_option
@output_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a .csv or .parquet file; by default, CSV goes to the standard output.",
)
@click.option("--force", is_flag=True, help="Replace an existing FILE.")
def predict(
    *, model: str, images: tuple[Path, ...], root: str | None, output: Path, out: Path | None, force: bool
) -> None:
    """Predict the class of every image in IMAGES, files or folders, by MODEL: a checkpoint, run folder, or digits/3.

    The columns are path, class, confidence and unlike_training. The last is "yes" for an image that is farther from the
    training images, or is reconstructed with a larger error, than 99.5 % of the validation images, and empty where the
    images of the run cannot be read.
    """
    if out is not None and out.suffix.lower() not in (".csv", ".parquet"):
        raise click.BadParameter(f"expected a file that ends with .csv or .parquet, got {out.name}", param_hint="--out")
    if out is not None and out.exists() and not force:
        raise click.UsageError(f"{out} exists already, and is not overwritten. Name another file, or use --force.")

    from triptych.evaluation.opening import find_model
    from triptych.evaluation.prediction import csv_rows, write_predictions
    from triptych.evaluation.prediction import predict as predict_images
    from triptych.text import counted, terminal_text

    found = predict_images(find_model(model, output=output), list(images), root=root)
    if out is None:
        # Files and programs get names as they are; a terminal would obey what is in them.
        text = terminal_text if sys.stdout.isatty() else str
        csv.writer(sys.stdout).writerows(map(text, row) for row in csv_rows(found))
    else:
        write_predictions(out, found)
        click.echo(f"{len(found):,} predictions in {terminal_text(out)}")
    if found.problems:
        shown = [terminal_text(why) for why in list(found.problems.values())[:5]]
        click.echo(f"{counted(len(found.problems), 'file')} cannot be decoded:\n" + "\n".join(shown), err=True)
    if found.lacks_reference:
        click.echo(
            "unlike_training is empty: the images of the run cannot be read. Name their folder by --root.", err=True
        )
