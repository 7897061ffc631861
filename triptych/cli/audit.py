"""`triptych audit`: which labels are probably wrong, which images come twice, and which are unlike all others."""

from pathlib import Path

import click

from triptych.cli.checkpoints import checkpoint_argument, open_checkpoint, out_option, root_option
from triptych.cli.options import HELP


@click.command(short_help="Find doubtful labels, duplicates and outliers.", context_settings=HELP)
@checkpoint_argument
@root_option
@out_option
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="List the N most suspicious labels and outliers, whatever their number; by default, the likely ones.",
)
def audit(*, checkpoint: Path, root: str | None, out: Path | None, top: int | None) -> None:
    """Let the model in CKPT audit the training, validation and test images of its run.

    Three signals are joined: neighbours that disagree, the classifier's probability and the reconstruction error.
    Writes audit.html, a page of pictures, and label_issues.csv, near_duplicates.csv and outliers.csv.
    """
    opened = open_checkpoint(checkpoint, root=root)
    folder = out or opened.folder

    from rich.console import Console
    from rich.markup import escape

    from triptych.evaluation.audit import audit_run, counts, write_page, write_tables

    console, model, data = Console(), opened.module.model, opened.data
    with console.status("looking through the images ..."):
        found = audit_run(model, data, top=top)
        write_tables(folder, found, classes=data.classes)
        write_page(folder / "audit.html", model, found, classes=data.classes, dataset=data.title)
    signals = "neighbours, classifier" + ("" if found.pool.error is None else ", reconstruction")
    numbers = counts(found)
    lines = {
        "images": f"{len(found.pool):,}, by {signals}",
        "labels": f"{numbers['label_issues']:,} are probably wrong",
        "duplicates": f"{numbers['duplicates']:,} pairs: {numbers['exact']:,} exact, {numbers['leaked']:,} between "
        f"training and test set, {numbers['contradictions']:,} with different labels",
        "outliers": f"{numbers['outliers']:,} are unlike all others",
        "pictures": str(folder / "audit.html"),
        "tables": str(folder / "label_issues.csv") + ", near_duplicates.csv, outliers.csv beside it",
    }
    for name, value in lines.items():
        console.print(f"[bold]{name:>10}[/bold]  {escape(value)}", highlight=False, soft_wrap=True)
