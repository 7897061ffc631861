"""`triptych cache`: list and remove the decoded images that are kept for later runs."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from triptych.cli.options import HELP

if TYPE_CHECKING:
    from triptych.data.pixels.entries import Entry

DAY = 24 * 60 * 60


@click.group(invoke_without_command=True, short_help="Show decoded images, or remove them.", context_settings=HELP)
@click.pass_context
def cache(context: click.Context) -> None:
    """List what is kept for later runs: decoded images, the last used first, and features of frozen encoders."""
    if context.invoked_subcommand is not None:
        return

    from triptych.data.known.locate import decoded_folder
    from triptych.data.pixels.entries import cache_entries

    entries = cache_entries(decoded_folder())
    for entry in entries:
        click.echo(_line(entry))
    click.echo(f"{_total(entries)} in {decoded_folder()}")
    if features := _features(before=math.inf):
        click.echo(_listed(features))


@cache.command(short_help="Remove decoded images.", context_settings=HELP)
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Only what was not used since.")
@click.option("--yes", is_flag=True, help="Remove without a question.")
def clear(*, older_than: float | None, yes: bool) -> None:
    """Remove decoded images and features; the next run that needs them computes them again. Image files are kept."""
    from triptych.data.known.locate import decoded_folder
    from triptych.data.pixels.entries import cache_entries, remove_entry, remove_leftovers

    before = time.time() - (older_than or 0) * DAY
    entries = [entry for entry in cache_entries(decoded_folder()) if older_than is None or entry.used < before]
    features = _features(before=math.inf if older_than is None else before)
    for entry in entries:
        click.echo(_line(entry))
    if features:
        click.echo(_listed(features))
    if (
        (entries or features)
        and not yes
        and not _confirmed(f"Remove {_total(entries)}{' and features' * bool(features)}")
    ):
        click.echo("Nothing was removed.")
        return
    for entry in entries:
        remove_entry(entry)
    removed = _counted(features)
    for file in features:
        file.unlink(missing_ok=True)
    remove_leftovers(decoded_folder())
    click.echo(f"Removed {_total(entries)} from {decoded_folder()}")
    if features:
        click.echo(f"Removed {removed}")


def _features(*, before: float) -> list[Path]:
    """List features of frozen encoders that were computed before a time, in seconds since 1970."""
    from triptych.data.known.locate import features_folder

    return [file for file in sorted(features_folder().glob("*.npy")) if file.stat().st_mtime < before]


def _listed(features: list[Path]) -> str:
    return f"{_counted(features)} in {features[0].parent}"


def _counted(features: list[Path]) -> str:
    size = sum(file.stat().st_size for file in features)
    return f"features of frozen encoders of {len(features)} split{'' if len(features) == 1 else 's'}, {_size(size)}"


def _confirmed(question: str) -> bool:
    try:
        return click.confirm(f"{question}?")
    except click.Abort:
        raise click.UsageError("expected yes or no, got no answer. Use --yes where there is no terminal.") from None


def _line(entry: "Entry") -> str:
    if entry.form is None:
        return f"a damaged entry, {_size(entry.size)}, {entry.folder.name}"
    channels, height, width = entry.form.shape
    days = max(0.0, time.time() - entry.used) / DAY
    used = "today" if days < 1 else f"{days:.0f} days ago"
    corrupt = f", {entry.rejected:,} corrupt" if entry.rejected else ""
    return (
        f"{entry.images:,} images of {height}x{width}x{channels} ({entry.form.fit}{corrupt}), {_size(entry.size)}, "
        f"used {used}, {entry.origin}"
    )


def _total(entries: "list[Entry]") -> str:
    count = len(entries)
    return f"{count} data set{'' if count == 1 else 's'} of {_size(sum(entry.size for entry in entries))}"


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
