"""`triptych evaluate`: the truth about a trained model, as a table, a page, and files for programs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from triptych.cli.checkpoints import checkpoint_argument, open_checkpoint, out_option, root_option
from triptych.cli.options import HELP

if TYPE_CHECKING:
    from triptych.cli.checkpoints import Opened
    from triptych.evaluation.evaluate import Evaluation
    from triptych.runs.folders import RunFolders


@click.command(short_help="Measure a trained model and write its report.", context_settings=HELP)
@checkpoint_argument
@click.option(
    "--split",
    "split_name",
    type=click.Choice(["test", "val", "train"]),
    default="test",
    show_default=True,
    help="The images to measure on.",
)
@root_option
@out_option
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, and nothing else.")
def evaluate(*, checkpoint: Path, split_name: str, root: str | None, out: Path | None, as_json: bool) -> None:
    """Measure the model in CKPT; write report.html, metrics.json and the results of every image.

    They go into the run's version folder, where metrics.json keeps what training wrote, and the pictures to TensorBoard
    beside its curves. A checkpoint that is not its run's best gets a folder of its own there.
    """
    opened = open_checkpoint(checkpoint, root=root)
    folder = out or opened.folder

    import json

    from rich.console import Console
    from rich.markup import escape

    from triptych.evaluation.report import report_pictures, write_report
    from triptych.evaluation.report.tensorboard import write_tensorboard
    from triptych.evaluation.table import figures_table
    from triptych.evaluation.writing import metrics_of, write_figures
    from triptych.runs.metrics_file import jsonable

    console = Console(quiet=as_json)
    model, data = opened.module.model, opened.data
    with console.status("measuring ..."):
        evaluation = _measure(opened, split_name)
        write_figures(folder, data, evaluation, checkpoint=opened.name)
        pictures = report_pictures(model, data, evaluation)
        write_report(
            folder / "report.html",
            model,
            data,
            evaluation,
            pictures,
            checkpoint=opened.name,
            version_folder=opened.version_folder,
        )
        if data.config.logging.tensorboard:
            write_tensorboard(folder, data, evaluation, pictures)
    if as_json:
        click.echo(json.dumps(jsonable(metrics_of(evaluation)), indent=2))
        return
    title = f"{opened.name}: {len(evaluation.split):,} {split_name} images of {data.config.dataset.title}"
    console.print(figures_table(evaluation, title=title))
    for name in ("report.html", "metrics.json"):
        console.print(f"[bold]{name:>12}[/bold]  {escape(str(folder / name))}", highlight=False, soft_wrap=True)


def measure_run(run: "RunFolders", split_name: str) -> None:
    """Evaluate a run's best checkpoint, and write figures and the results of every image into its version folder.

    Raises:
        CheckpointError: The run has no best checkpoint, or it cannot be read.
        DataError, DownloadError: The images cannot be read.
    """
    from triptych.errors import CheckpointError
    from triptych.evaluation.writing import write_figures
    from triptych.runs.checkpoint_list import best_name

    best = best_name(run)
    if best is None:
        raise CheckpointError(
            f"{run.name}: expected a run that has finished an epoch, but it has no best checkpoint yet. Go on "
            "with --resume, or choose another run."
        )
    opened = open_checkpoint(run.checkpoints / best)
    write_figures(run.version_folder, opened.data, _measure(opened, split_name), checkpoint=opened.name)


def _measure(opened: "Opened", split_name: str) -> "Evaluation":
    from triptych.evaluation.evaluate import evaluate as measure

    return measure(opened.module.model, opened.data, split_name=split_name)
