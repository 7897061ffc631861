"""`triptych audit`: find label errors, duplicates and outliers by a trained model."""

from pathlib import Path

import click

from triptych.cli.options import HELP, model_argument, out_option, output_option, root_option


@click.command(short_help="Find label errors, duplicates and outliers.", context_settings=HELP)
@model_argument
@root_option
@output_option
@out_option
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="List the N most suspicious labels and outliers, whatever their number; by default, the likely ones.",
)
def audit(*, model: str, root: str | None, output: Path, out: Path | None, top: int | None) -> None:
    """Audit the training, validation and test images of MODEL: a checkpoint, a run folder, or a run as digits/3.

    Combines three signals: nearest neighbours with other labels, the classifier's probability, and the reconstruction
    error. Writes label_issues.csv, near_duplicates.csv, outliers.csv, and audit.html: a page that opens with the queue
    of doubtful labels.
    """
    from rich.console import Console

    from triptych.evaluation.audit.audit import audit_opened
    from triptych.evaluation.opening import open_model
    from triptych.explorer.pages import write_audit
    from triptych.text import terminal_text

    opened = open_model(model, root=root, output=output)
    folder = out or opened.folder
    with Console().status("auditing the images ..."):
        found = audit_opened(opened, folder=folder, top=top)
        page = write_audit(folder, opened, found)
    signals = "neighbours, classifier" + ("" if found.pool.error is None else ", reconstruction")
    numbers = found.counts()
    lines = {
        "images": f"{len(found.pool):,}, by {signals}",
        "labels": found.verdict(),
        "duplicates": f"{numbers['duplicates']:,} pairs: {numbers['exact']:,} exact, {numbers['leaked']:,} between the "
        f"test set and the others, {numbers['contradictions']:,} with different labels",
        "outliers": f"{numbers['outliers']:,}",
        "page": str(page),
        "tables": f"{folder / 'label_issues.csv'}, near_duplicates.csv, outliers.csv",
    }
    for name, value in lines.items():
        click.echo(f"{name:>10}  {terminal_text(value)}")
