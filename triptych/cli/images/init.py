"""`triptych init`: inspects your images and writes a config for them."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from triptych.cli.options import HELP
from triptych.text import terminal_text

if TYPE_CHECKING:
    from triptych.inspection.suggestion import Suggestion

COLUMNS = ("path", "image", "label", "split", "group")


class _Size(click.ParamType[tuple[int, int]]):
    """A number, or height x width."""

    name = "size"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        sides = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", value)
        height, width = (int(sides[1]), int(sides[2] or sides[1])) if sides else (0, 0)
        if not (8 <= height <= 1024 and 8 <= width <= 1024):
            self.fail(f"expected pixels from 8 to 1024, as in 64 or 48x64 (height x width); got {value!r}", param, ctx)
        return height, width


@click.command(short_help="Write a config for your images.", context_settings=HELP)
@click.argument("images", metavar="IMAGES", type=click.Path(path_type=Path))
@click.option(
    "--out",
    default="triptych.yaml",
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.yaml",
    help="The config to write.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option("--size", type=_Size(), metavar="N|HxW", help="Image size in pixels; by default as the images suggest.")
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="By default as the number of images suggests.")
@click.option("--flips/--no-flips", default=None, help="Flip training images horizontally; by default as they suggest.")
@click.option(
    "--column",
    "columns",
    type=(click.Choice(COLUMNS), str),
    multiple=True,
    metavar="ROLE NAME",
    help="A column of a table, as --column label species.",
)
def init(
    *,
    images: Path,
    out: Path,
    force: bool,
    size: tuple[int, int] | None,
    epochs: int | None,
    flips: bool | None,
    columns: tuple[tuple[str, str], ...],
) -> None:
    """Inspect the labelled IMAGES and write a commented config that explains each choice.

    IMAGES is a folder with a folder for each class, or a table (CSV, Parquet). At most 1,000 images are decoded.
    """
    if out.exists() and not force:
        raise click.BadParameter(
            f"expected the name of a new file, but {terminal_text(out)} exists. Choose another name, or use --force.",
            param_hint="--out",
        )

    from rich.console import Console
    from rich.markup import escape

    from triptych.inspection.suggestion import suggest_config

    console = Console(emoji=False)
    with Console(stderr=True).status("inspecting the images ..."):
        found = suggest_config(images, flips=flips, image_size=size, epochs=epochs, columns=dict(columns))
        found.write(out, force=force)
        lines = _lines(found, out)
    for key, value in lines.items():
        console.print(f"[bold]{key:>10}[/bold]  {escape(terminal_text(value))}", highlight=False, soft_wrap=True)


def _lines(found: "Suggestion", out: Path) -> dict[str, str]:
    from triptych.data.listing import listed

    listing, survey = found.listing, found.survey
    chosen = {
        "size": "dataset.image_size",
        "channels": "dataset.channels",
        "fit": "dataset.fit",
        "patches": "model.patch_size",
        "batch": "dataset.batch_size",
        "sampling": "dataset.sampling",
        "epochs": "training.epochs",
    }
    unreadable = f"{len(survey.unreadable):,} of {survey.images:,} images: {listed(survey.unreadable)}"
    return {
        "images": f"{len(listing):,} of {len(listing.classes):,} classes ({listing.origin})",
        **{name: _explained(found, key) for name, key in chosen.items() if key in found.choices},
        "flips": f"{'yes' if found.flips.helpful else 'no'}: {found.flips.reason}",
        **({"corrupt": unreadable} if survey.unreadable else {}),
        **{f"note {number}": note for number, note in enumerate(listing.notes, start=1)},
        "time": f"about {_duration(found.estimated_seconds())} of training on this machine, measured by a few steps",
        "config": str(out),
        "next": f"triptych doctor {shlex.quote(str(out))}",
    }


def _explained(found: "Suggestion", key: str) -> str:
    """Return a value with its reason."""
    value, reason = found.choices[key]
    text = " x ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{text} ({reason})" if reason else text


def _duration(seconds: float) -> str:
    """Round a time to the precision of an estimate."""
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.2g} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return "a minute" if seconds >= 50 else f"{max(1, round(seconds))} seconds"
