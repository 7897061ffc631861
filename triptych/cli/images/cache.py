"""`triptych cache`: list and remove what is kept for later runs: decoded images, features, maps and networks."""

import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from triptych.cli.options import HELP
from triptych.text import terminal_text

if TYPE_CHECKING:
    from triptych.data.pixels.entries import Entry

DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Kept:
    """Files of one kind that are computed again where they are needed.

    Attributes:
        what: Their kind.
        unit: Of what there is one each, in the singular.
        places: Files, or folders of files.
    """

    what: str
    unit: str
    places: list[Path]

    def counted(self) -> str:
        """Describe how many there are, and how large they are."""
        plural = "" if len(self.places) == 1 else "s"
        size = sum(file.stat().st_size for place in self.places for file in _files(place))
        return f"{self.what} of {len(self.places)} {self.unit}{plural}, {_size(size)}"

    def listed(self) -> str:
        """Describe the same with the folder."""
        return f"{self.counted()} in {self.places[0].parent}"

    def remove(self) -> None:
        """Remove the files."""
        for place in self.places:
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)


@click.group(invoke_without_command=True, short_help="Show decoded images, or remove them.", context_settings=HELP)
@click.pass_context
def cache(context: click.Context) -> None:
    """List what is kept for later runs.

    Decoded images, the last used first, features of frozen encoders, and the explorer's maps and exported networks.
    """
    if context.invoked_subcommand is not None:
        return

    from triptych.data.known.locate import decoded_folder
    from triptych.data.pixels.entries import cache_entries

    entries = cache_entries(decoded_folder())
    for entry in entries:
        click.echo(_line(entry))
    click.echo(f"{_total(entries)} in {decoded_folder()}")
    for kept in _others(before=math.inf):
        click.echo(kept.listed())


@cache.command(short_help="Remove decoded images.", context_settings=HELP)
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Only what was not used since.")
@click.option("--yes", is_flag=True, help="Remove without a question.")
def clear(*, older_than: float | None, yes: bool) -> None:
    """Remove decoded images, features, maps and networks; what needs them computes them again. Image files are kept."""
    from triptych.data.known.locate import decoded_folder
    from triptych.data.pixels.entries import cache_entries, remove_entry, remove_leftovers

    before = time.time() - (older_than or 0) * DAY
    entries = [entry for entry in cache_entries(decoded_folder()) if older_than is None or entry.used < before]
    others = _others(before=math.inf if older_than is None else before)
    for entry in entries:
        click.echo(_line(entry))
    for kept in others:
        click.echo(kept.listed())
    names = [_total(entries), *(kept.what for kept in others)]
    if (entries or others) and not yes and not _confirmed(f"Remove {' and '.join(names)}"):
        click.echo("Nothing was removed.")
        return
    for entry in entries:
        remove_entry(entry)
    remove_leftovers(decoded_folder())
    click.echo(f"Removed {_total(entries)} from {decoded_folder()}")
    for kept in others:
        removed = kept.counted()
        kept.remove()
        click.echo(f"Removed {removed}")


def _others(*, before: float) -> list[Kept]:
    """List what was computed before a time, in seconds since 1970; a kind of which there is nothing is left out."""
    from triptych.data.known.locate import cache_folder, features_folder

    kinds = (
        Kept("features of frozen encoders", "split", sorted(features_folder().glob("*.npy"))),
        Kept("maps by t-SNE", "page", sorted((cache_folder() / "maps").glob("*.npy"))),
        Kept("exported networks", "model", sorted(_folders(cache_folder() / "networks"))),
    )
    old = (Kept(kind.what, kind.unit, [one for one in kind.places if one.stat().st_mtime < before]) for kind in kinds)
    return [kind for kind in old if kind.places]


def _folders(place: Path) -> list[Path]:
    return [one for one in place.glob("*") if one.is_dir()]


def _files(place: Path) -> list[Path]:
    return [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else [place]


def _confirmed(question: str) -> bool:
    try:
        return click.confirm(f"{question}?")
    except click.Abort:
        raise click.UsageError("expected yes or no, got no answer. Use --yes where there is no terminal.") from None


def _line(entry: "Entry") -> str:
    if entry.form is None:
        return f"a damaged entry, {_size(entry.size)}, {terminal_text(entry.folder.name)}"
    channels, height, width = entry.form.shape
    days = max(0.0, time.time() - entry.used) / DAY
    used = "today" if days < 1 else f"{days:.0f} days ago"
    corrupt = f", {entry.rejected:,} corrupt" if entry.rejected else ""
    return (
        f"{entry.images:,} images of {height}x{width}x{channels} ({entry.form.fit}{corrupt}), {_size(entry.size)}, "
        f"used {used}, {terminal_text(entry.origin)}"
    )


def _total(entries: "list[Entry]") -> str:
    count = len(entries)
    return f"{count} data set{'' if count == 1 else 's'} of {_size(sum(entry.size for entry in entries))}"


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
