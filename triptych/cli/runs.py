"""`triptych runs`: all runs in one table, and two of them side by side."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from triptych.cli.options import HELP

if TYPE_CHECKING:
    from triptych.runs.per_image import PerImage
    from triptych.runs.records import RunRecord

SPLITS = ("train", "val", "test")

output_option = click.option(
    "--output",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="The output root of the runs; by default the current folder.",
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
    """List all runs of an output root: state, figures, and what differs between the configs on a data set."""
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
            "name the output root with --output."
        )
    metric = None
    if sort is not None:
        try:
            metric = resolve_metric(sort, {name: None for record in records for name in record.metrics})
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--sort") from error
        records = sorted_records(records, metric, ascending=ascending)
    _print_runs(records, metric, as_json=as_json)


@runs.command(short_help="Put two runs side by side.", context_settings=HELP)
@click.argument("a")
@click.argument("b")
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True, help="The images to compare on.")
@output_option
@json_option
@click.pass_context
def compare(context: click.Context, *, a: str, b: str, split: str, output: Path | None, as_json: bool) -> None:
    """Put two runs side by side: how their configs differ, and where their figures differ beyond the images' noise.

    A and B are runs as digits/3, version folders, or checkpoints. A run whose images were not yet measured one by one
    is evaluated first.
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
            f"Expected two runs on the same data set, got {first.name} and {second.name}: figures of different images "
            "do not tell models apart. Name two runs on one data set."
        )

    from triptych.runs.comparison import compare as compare_tables

    comparison = compare_tables(*(_measured(read_record(folders), split) for folders in (first, second)))
    records = read_record(first), read_record(second)
    if as_json:
        from triptych.runs.comparison_table import json_of_comparison

        click.echo(json.dumps(json_of_comparison(*records, comparison, split=split), indent=2))
        return

    from rich.console import Console

    from triptych.runs.comparison_table import figure_table, remarks, run_sides

    console = Console()
    console.print(run_sides(*records))
    console.print(figure_table(comparison, width=console.width))
    for remark in remarks(comparison, split=split):
        console.print(f"\n{remark}", highlight=False)


def _measured(record: "RunRecord", split: str) -> "PerImage":
    """Read a run's results per image; measure them where there are none, or only those of an earlier checkpoint."""
    from triptych.runs.per_image import read_per_image

    path = record.folders.per_image(split)
    if path.is_file():
        table = read_per_image(path)
        if table.description.get("checkpoint") in (None, record.best_checkpoint):
            return table
    click.echo(f"{record.folders.name}: measuring its best checkpoint on the {split} images ...", err=True)
    from triptych.cli.evaluate import measure_run

    measure_run(record.folders, split)
    return read_per_image(path)


def _print_runs(records: "list[RunRecord]", metric: str | None, *, as_json: bool) -> None:
    if as_json:
        from triptych.runs.run_table import json_of_runs

        click.echo(json.dumps(json_of_runs(records), indent=2))
        return
    from rich.console import Console

    from triptych.runs.run_table import run_table

    console = Console()
    console.print(run_table(records, width=console.width, first=metric))
    for record in records:
        for problem in record.problems.values():
            console.print(f"{record.folders.name}: {problem}", style="red", markup=False, highlight=False)
