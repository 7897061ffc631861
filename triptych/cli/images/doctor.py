"""`triptych doctor`: examines the images of a config before training."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from triptych.cli.options import HELP, set_option, takes_config
from triptych.text import terminal_text

if TYPE_CHECKING:
    from rich.table import Table

    from triptych.inspection import Examination

HAS_ERRORS = 1
"""The exit code if training would fail or its metrics would be misleading."""
CLASSES_SHOWN = 30
EXAMPLES_SHOWN = 5
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


@click.command(short_help="Examine the images of a config before training.", context_settings=HELP)
@takes_config
@set_option
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, for programs.")
@click.option(
    "--write-groups",
    "groups",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.csv",
    help="Write a table that keeps duplicates in one split.",
)
def doctor(*, path: Path, overrides: tuple[str, ...], as_json: bool, groups: Path | None) -> None:
    """Examine the images of CONFIG: class sizes, image sizes, corrupt files, duplicates within and across splits.

    Each finding states what Triptych does about it. Exits with code 1 if training would fail or its metrics would be
    misleading. Decoded images stay in the cache for training.
    """
    from triptych.config import load_config

    config = load_config(path, overrides)

    from rich.console import Console

    from triptych.inspection import examine
    from triptych.inspection.groups import write_groups

    with Console(stderr=True).status("examining the images ..."):
        found = examine(config)
        written = None if groups is None else write_groups(found, groups)
    if as_json:
        click.echo(json.dumps(found.facts(), indent=2))
    else:
        _show(found)
    if written is not None:
        moved = f", {written.moved:,} of them moved to train" if written.moved else ""
        command = f"triptych doctor {shlex.quote(str(path))} --set dataset.name=table --set dataset.root={written.file}"
        click.echo(
            f"{'groups':>12}  {written.groups:,} groups of {written.images:,} duplicates{moved}, in "
            f"{terminal_text(written.file)}\n{'next':>12}  {terminal_text(command)}",
            err=as_json,
        )
    if found.has_errors:
        click.get_current_context().exit(HAS_ERRORS)


def _show(found: "Examination") -> None:
    from rich.console import Console
    from rich.markup import escape

    console, facts = Console(emoji=False), found.facts()
    channels, height, width = facts["image"].values()
    lines = {"images": f"{sum(facts['images'].values()):,} of {facts['data']}, as {height}x{width}x{channels}"}
    if facts["files"]:
        lines |= {
            name.replace("_", " "): f"{of['min']:g} to {of['max']:g}, median {of['median']:g}"
            for name, of in facts["files"].items()
        }
    lines["mean"] = ", ".join(f"{value:.3f}" for value in facts["pixel_mean"])
    lines["deviation"] = ", ".join(f"{value:.3f}" for value in facts["pixel_deviation"])
    for name, value in lines.items():
        console.print(f"[bold]{name:>12}[/bold]  {escape(terminal_text(value))}", highlight=False, soft_wrap=True)
    console.print(_class_table(facts["classes"], facts["images"]))
    for finding in found.findings:
        colour = COLOURS[finding.severity]
        head = f"[bold {colour}]{finding.severity:>12}[/bold {colour}]  [bold]{finding.topic}[/bold]: "
        text = escape(terminal_text(f"{finding.text} {finding.remedy}".rstrip()))
        console.print(f"{head}{text}", highlight=False, soft_wrap=True)
        for example in finding.examples[:EXAMPLES_SHOWN]:
            console.print(f"{'':>14}- {escape(terminal_text(example))}", highlight=False, soft_wrap=True)
    verdict = "fix the errors before training" if found.has_errors else "no blocking problems found"
    console.print(f"[bold]{'verdict':>12}[/bold]  {verdict}", highlight=False)


def _class_table(classes: dict[str, dict[str, int]], sizes: dict[str, int]) -> "Table":
    """Count images by class and split; of many classes the largest and the smallest."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    table.add_column("class")
    for name in sizes:
        table.add_column(name, justify="right")
    rows = list(classes.items())
    left_out = len(rows) - CLASSES_SHOWN
    if left_out > 0:
        rows.sort(key=lambda row: -row[1]["train"])
        rows[CLASSES_SHOWN // 2 : -(CLASSES_SHOWN // 2)] = [(f"... {left_out:,} more", dict.fromkeys(sizes, -1))]
    for name, counts in rows:
        cells = ("" if count < 0 else f"{count:,}" for count in counts.values())
        table.add_row(escape(terminal_text(name)), *cells)
    table.add_section()
    table.add_row("all", *(f"{size:,}" for size in sizes.values()))
    return table
