"""`triptych doctor`: what is wrong with the images of a config, before anything is trained on them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from triptych.cli.options import HELP, set_option

if TYPE_CHECKING:
    from rich.table import Table

    from triptych.inspection import Examination

WRONG = 1
"""The exit code where training would be wrong."""
CLASSES_SHOWN = 30
EXAMPLES_SHOWN = 5
COLOURS = {"wrong": "red", "warning": "yellow", "note": "cyan"}


@click.command(short_help="Examine a config's images before training.", context_settings=HELP)
@click.argument("path", metavar="CONFIG", type=click.Path(path_type=Path))
@set_option
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, for programs.")
def doctor(*, path: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Examine the images of CONFIG: counts, sizes, corrupt files, copies within and across splits, imbalance.

    Says of everything that it finds what will be done about it. The exit code is 1 where training would fail or its
    figures would not mean what they say. What is decoded for it stays in the cache, where training finds it.
    """
    from triptych.config import load_config

    config = load_config(path, overrides)

    from rich.console import Console

    from triptych.inspection import examine

    with Console(stderr=True).status("examining the images ..."):
        found = examine(config)
    if as_json:
        click.echo(json.dumps(found.facts(), indent=2, ensure_ascii=False))
    else:
        _show(found)
    if found.is_wrong:
        click.get_current_context().exit(WRONG)


def _show(found: "Examination") -> None:
    from rich.console import Console
    from rich.markup import escape

    console, facts = Console(), found.facts()
    channels, height, width = facts["image"].values()
    lines = {"images": f"{sum(facts['images'].values()):,} of {facts['data']}, as {height}x{width}x{channels}"}
    if facts["files"]:
        lines |= {
            name.replace("_", " "): f"{of['least']:g} to {of['most']:g}, in the middle {of['median']:g}"
            for name, of in facts["files"].items()
        }
    lines["mean"] = _figures(facts["pixel_mean"])
    lines["deviation"] = _figures(facts["pixel_deviation"])
    for name, value in lines.items():
        console.print(f"[bold]{name:>12}[/bold]  {escape(value)}", highlight=False, soft_wrap=True)
    console.print(_class_table(facts["classes"], facts["images"]))
    for finding in found.findings:
        colour = COLOURS[finding.severity]
        head = f"[bold {colour}]{finding.severity:>12}[/bold {colour}]  [bold]{finding.topic}[/bold]: "
        console.print(f"{head}{escape(finding.text)} {escape(finding.remedy)}", highlight=False, soft_wrap=True)
        for example in finding.examples[:EXAMPLES_SHOWN]:
            console.print(f"{'':>14}- {escape(example)}", highlight=False, soft_wrap=True)
    verdict = "training would be wrong" if found.is_wrong else "nothing speaks against training"
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
        table.add_row(escape(name), *("" if count < 0 else f"{count:,}" for count in counts.values()))
    table.add_section()
    table.add_row("all", *(f"{size:,}" for size in sizes.values()))
    return table


def _figures(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)
