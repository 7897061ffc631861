"""`triptych runs`: list all runs, and compare two of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from triptych.cli.options import HELP
from triptych.text import terminal_text

if TYPE_CHECKING:
    from triptych.runs.records import RunRecord

SPLITS = ("train", "val", "test")

output_option = click.option(
    "--output",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="The output directory of the runs; by default the working directory.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group(invoke_without_command=True, short_help="List all runs, or compare two.", context_settings=HELP)
@output_option
@click.option("--sort", metavar="METRIC", help="Sort by a metric, as accuracy or val.loss; the best first.")
@click.option("--ascending/--descending", default=None, help="Sort the lowest first, or the highest.")
@json_option
@click.pass_context
def runs(
    context: click.Context, *, output: Path | None, sort: str | None, ascending: bool | None, as_json: bool
) -> None:
    """List all runs of an output directory: state, metrics, and the differences between the configs on a data set."""
    if context.invoked_subcommand is not None:
        return
    if ascending is not None and sort is None:
        raise click.UsageError("--ascending and --descending need a metric: name one with --sort.")

    from triptych.errors import CheckpointError
    from triptych.runs.definitions import resolve_metric
    from triptych.runs.folders import all_runs
    from triptych.runs.records import read_record
    from triptych.runs.run_table import sorted_records

    root = output or Path()
    records = [read_record(folders) for folders in all_runs(root)]
    if not records:
        raise CheckpointError(
            f"No runs under {root.resolve()}: expected img_tasks/<dataset>/experiment/version_N there. Train one, or "
            "name the output directory by --output."
        )
    metric = None
    if sort is not None:
        try:
            metric = resolve_metric(sort, {name: None for record in records for name in record.metrics})
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--sort") from error
        records = sorted_records(records, metric, ascending=ascending)
    _print_runs(records, metric, as_json=as_json)


@runs.command(short_help="Compare two runs.", context_settings=HELP)
@click.argument("a")
@click.argument("b")
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True, help="The images to compare on.")
@output_option
@json_option
@click.pass_context
def compare(context: click.Context, *, a: str, b: str, split: str, output: Path | None, as_json: bool) -> None:
    """Compare two runs: their configs, and their metrics with intervals of the differences.

    A and B are runs as digits/3, version folders, or checkpoints. A run without results of every image is evaluated
    first.
    """
    from triptych.errors import DataError
    from triptych.runs.find import find_run
    from triptych.runs.records import read_record

    of_all = context.parent.params["output"] if context.parent else None
    first, second = (find_run(meant, output or of_all or Path()) for meant in (a, b))
    if first.version_folder.samefile(second.version_folder):
        raise click.UsageError(f"Expected two runs, got {first.name} twice: name another one.")
    if first.dataset != second.dataset:
        raise DataError(
            f"Expected two runs on the same data set, got {first.name} and {second.name}: metrics on "
            "different images cannot be compared. Name two runs on one data set."
        )

    from triptych.evaluation.evaluate import results_per_image
    from triptych.runs.comparison import compare as compare_tables

    def announce(name: str) -> None:
        click.echo(f"{terminal_text(name)}: measuring its best checkpoint on the {split} images ...", err=True)

    def warn(note: str) -> None:
        click.echo(f"note  {terminal_text(note)}", err=True)

    tables = (
        results_per_image(read_record(folders), split, announce=announce, warn=warn) for folders in (first, second)
    )
    comparison = compare_tables(*tables)
    records = read_record(first), read_record(second)
    if as_json:
        from triptych.runs.comparison_table import json_of_comparison

        click.echo(json.dumps(json_of_comparison(*records, comparison, split=split), indent=2))
        return

    from rich.console import Console

    from triptych.runs.comparison_table import figure_table, remarks, run_sides

    console = Console(emoji=False)
    console.print(run_sides(*records))
    console.print(figure_table(comparison, width=console.width))
    for remark in remarks(comparison, split=split):
        console.print(f"\n{remark}", highlight=False)


def _print_runs(records: "list[RunRecord]", metric: str | None, *, as_json: bool) -> None:
    if as_json:
        from triptych.runs.run_table import json_of_runs

        click.echo(json.dumps(json_of_runs(records), indent=2))
        return
    from rich.console import Console

    from triptych.runs.run_table import run_table

    console = Console(emoji=False)
    console.print(run_table(records, width=console.width, first=metric))
    for record in records:
        for problem in record.problems.values():
            text = terminal_text(f"{record.folders.name}: {problem}")
            console.print(text, style="red", markup=False, highlight=False)
