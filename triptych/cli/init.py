"""`triptych init`: from a folder of labelled images to a config that fits them."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from triptych.cli.options import HELP

if TYPE_CHECKING:
    from triptych.inspection.commented import Chosen
    from triptych.inspection.survey import Survey

TABLES = frozenset({".csv", ".tsv", ".parquet"})
THREADS = 4


@click.command(short_help="Write a config that fits your images.", context_settings=HELP)
@click.argument("place", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--out",
    default="triptych.yaml",
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.yaml",
    help="The config to write. A file that is there already stays.",
)
@click.option(
    "--flips/--no-flips", default=None, help="Mirror training images, or do not; by default, as the images suggest."
)
def init(*, place: Path, out: Path, flips: bool | None) -> None:
    """Look at the images in FOLDER, or at those that a table (CSV, Parquet) names, and write a config that fits them.

    A sample is decoded: at most 1,000 images, of every class as many. The config says beside each value why it is so.
    """
    if out.exists():
        raise click.BadParameter(
            f"expected the name of a new file, got {out}, which is there already. Name another, or move it away.",
            param_hint="--out",
        )

    import torch
    from rich.console import Console
    from rich.markup import escape

    from triptych.config import load_config
    from triptych.config.schema import DatasetConfig
    from triptych.data.builder import list_images
    from triptych.data.listing import TEST, TRAIN, VALIDATION
    from triptych.files import replacing
    from triptych.inspection.commented import commented
    from triptych.inspection.suggestion import Facts, suggest
    from triptych.inspection.survey import survey

    name: Literal["folder", "table"] = "table" if place.suffix.lower() in TABLES else "folder"
    listing = list_images(DatasetConfig(name=name, root=str(place), image_size=64))
    console = Console()
    with console.status("looking at the images ..."):
        seen = survey(listing, threads=THREADS)
    counts = torch.bincount(listing.labels[listing.split == TRAIN], minlength=len(listing.classes))
    helpful, reason = seen.flips if flips is None else (flips, "as asked")
    facts = Facts(
        name=name,
        root=str(place),
        counts=counts.tolist(),
        has_validation=bool((listing.split == VALIDATION).any()),
        has_test=bool((listing.split == TEST).any()),
        sizes=seen.sizes,
        channels=seen.channels,
        corrupt=len(seen.refused),
        flips=helpful,
        flips_reason=reason,
    )
    choices = suggest(facts, has_gpu=torch.cuda.is_available())
    command = f"triptych train --config {shlex.quote(str(out))}"
    text = commented(
        choices,
        head=f"{command}\n\nBy `triptych init` for {len(listing):,} images of {len(listing.classes):,} classes, "
        f"after a look at {seen.looked_at:,} of them.",
    )
    with replacing(out) as temporary:
        temporary.write_text(text)
        load_config(temporary)
    lines = {
        "images": f"{len(listing):,} of {len(listing.classes):,} classes ({listing.origin})",
        "size": _told(choices["dataset.image_size"]),
        "channels": _told(choices["dataset.channels"]),
        "fit": _told(choices["dataset.fit"]),
        "flips": f"{'yes' if facts.flips else 'no'}: {facts.flips_reason}",
        "patches": _told(choices["model.patch_size"]),
        "batch": _told(choices["dataset.batch_size"]),
        **({"sampling": _told(choices["dataset.sampling"])} if "dataset.sampling" in choices else {}),
        **({"corrupt": _refused(seen)} if seen.refused else {}),
        **{f"note {number}": note for number, note in enumerate(listing.notes, start=1)},
        "config": str(out),
        "next": f"triptych doctor {shlex.quote(str(out))}",
    }
    for key, value in lines.items():
        console.print(f"[bold]{key:>10}[/bold]  {escape(value)}", highlight=False, soft_wrap=True)


def _told(chosen: "Chosen") -> str:
    """Say what was chosen, and why."""
    value = " x ".join(map(str, chosen.value)) if isinstance(chosen.value, list) else chosen.value
    return f"{value} ({chosen.reason})" if chosen.reason else str(value)


def _refused(seen: "Survey") -> str:
    """Name the first few that cannot be decoded."""
    from triptych.data.listing import listed

    return f"{len(seen.refused):,} of {seen.looked_at:,} images: {listed(seen.refused)}"
