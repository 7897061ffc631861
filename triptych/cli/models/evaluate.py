"""`triptych evaluate`: measure a trained model, and write a table, a report and files for programs."""

from pathlib import Path

import click

from triptych.cli.options import HELP, model_argument, out_option, output_option, root_option


@click.command(short_help="Measure a trained model and write its report.", context_settings=HELP)
@model_argument
@click.option(
    "--split",
    type=click.Choice(["test", "val", "train"]),
    default="test",
    show_default=True,
    help="The images to measure on.",
)
@root_option
@output_option
@out_option
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, and nothing else.")
def evaluate(*, model: str, split: str, root: str | None, output: Path, out: Path | None, as_json: bool) -> None:
    """Measure MODEL: a checkpoint, a run folder, or a run as digits/3.

    Writes report.html, map.html (the interactive map), metrics.json, and the results of every image into the run's
    version folder, where metrics.json keeps what training wrote, and the figures to TensorBoard beside its curves. A
    checkpoint that is not its run's best gets a folder of its own there.
    """
    import json

    from rich.console import Console

    from triptych.evaluation.evaluate import evaluate_opened
    from triptych.evaluation.opening import open_model
    from triptych.evaluation.table import figures_table
    from triptych.explorer.pages import write_map
    from triptych.runs.metrics_file import jsonable
    from triptych.text import terminal_text
    from triptych.visualisation import missing_characters

    opened = open_model(model, root=root, output=output)
    folder, console = out or opened.folder, Console(quiet=as_json, emoji=False)
    with console.status("measuring ..."):
        evaluation = evaluate_opened(opened, split=split, folder=folder)
        write_map(folder, opened, evaluation)
    if as_json:
        click.echo(json.dumps(jsonable(evaluation.metrics()), indent=2))
        return
    title = f"{opened.name}: {len(evaluation.split):,} {split} images of {opened.data.config.dataset.title}"
    console.print(figures_table(evaluation, title=title))
    if missing := missing_characters(evaluation.classes):
        click.echo(
            f"No installed font has the characters {terminal_text(missing)}: figures show boxes in their place. "
            "Install a font that has them, such as Noto Sans CJK.",
            err=True,
        )
    for name in ("report.html", "map.html", "metrics.json", f"misclassified_{split}.csv"):
        click.echo(f"{name:>22}  {terminal_text(folder / name)}")
