"""`triptych relabel`: the label errors of an audit, and your own corrections, as a table that training reads."""

import shlex
from pathlib import Path

import click

from triptych.cli.options import HELP, model_argument, output_option


@click.command(short_help="Write corrections of labels for training.", context_settings=HELP)
@model_argument
@output_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("corrections.csv"),
    show_default=True,
    metavar="FILE",
    help="Where to write the corrections.",
)
@click.option("--top", type=click.IntRange(min=0), metavar="N", help="Take the N most doubtful labels of the audit.")
@click.option("--drop-duplicates", is_flag=True, help="Drop one image of every pair of exact duplicates.")
@click.option(
    "--corrections",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Your own corrections, a CSV file with the columns path and label: they take precedence.",
)
@click.option("--force", is_flag=True, help="Replace an existing FILE.")
def relabel(
    *,
    model: str,
    output: Path,
    out: Path,
    top: int | None,
    drop_duplicates: bool,
    corrections: Path | None,
    force: bool,
) -> None:
    """Write the labels that an audit of MODEL suggests as a table.

    The columns are path and label, or, of images without files, split, index and label.

    Check and edit the file: an empty label drops the image. Then train with dataset.corrections set to it; corrections
    with which MODEL was trained stay in force. MODEL is a checkpoint, a run folder, a run as digits/3, or any folder
    with the tables of `triptych audit`.
    """
    if out.exists() and not force:
        raise click.UsageError(f"{out} exists already, and is not overwritten. Name another file, or use --force.")

    from triptych.evaluation.audit.corrections import (
        corrections_of_run,
        overlaid,
        read_corrections,
        suggested_corrections,
        write_corrections,
    )
    from triptych.evaluation.opening import find_model, result_folder
    from triptych.text import terminal_text

    folder = Path(model)
    if not (folder / "label_issues.csv").is_file():
        folder = result_folder(find_model(model, output=output))
    before = corrections_of_run(folder)
    found = overlaid(before, suggested_corrections(folder, top=top, drop_duplicates=drop_duplicates))
    if corrections is not None:
        found = overlaid(found, read_corrections(corrections))
    if top is not None and len(found) < top:
        click.echo(
            f"The audit lists fewer than {top:,} labels; `triptych audit {terminal_text(model)} --top {top}` lists "
            "more.",
            err=True,
        )
    write_corrections(out, found)
    dropped = sum(not label for label in found.values())
    click.echo(f"{len(found) - dropped:,} labels corrected and {dropped:,} images dropped in {terminal_text(out)}")
    if before:
        click.echo(f"The run's own {len(before):,} corrections are among them.")
    setting = shlex.quote(f"dataset.corrections={out}")
    click.echo(f"Check the file, then train with --set {terminal_text(setting)}")
