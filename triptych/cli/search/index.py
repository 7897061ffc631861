"""`triptych index`: an index of images to search in, made, changed, described and calibrated."""

from typing import TYPE_CHECKING

import click

from triptych.cli.options import HELP

if TYPE_CHECKING:
    from triptych.search import Calibration
    from triptych.search.adding import Report
    from triptych.search.calibration import Rate

SHOWN_FAILURES = 20


class IndexGroup(click.Group):
    """A group whose own arguments, MODEL IMAGES, make an index; `create` is the name of that verb."""

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Choose the verb; where the first word is none, it is the model of a new index."""
        if self.get_command(context, arguments[0]) is None:
            arguments = ["create", *arguments]
        return super().resolve_command(context, arguments)

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Let options stand before MODEL, too."""
        if arguments and arguments[0].startswith("-") and arguments[0] not in HELP["help_option_names"]:
            arguments = ["create", *arguments]
        return super().parse_args(context, arguments)


rate_option = click.option(
    "--false-match-rate",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.01,
    show_default=True,
    help="Share of pairs of two classes that may count as a match.",
)
root_option = click.option(
    "--root", metavar="PLACE", help="Where the images of the model's run lie now, if not where training found them."
)
model_option = click.option("--model", metavar="MODEL", help="The index's model, if it has moved since.")
index_argument = click.argument("place", metavar="INDEX")


@click.group(cls=IndexGroup, short_help="Make an index of images, and change it.", context_settings=HELP)
def index() -> None:
    """Make an index: `triptych index MODEL IMAGES --out photos.index`; or change one by the commands below.

    INDEX is a folder, or the URL of a PostgreSQL database with pgvector, as in postgresql://user@host/database#photos;
    several URLs, separated by spaces, are the shards of one index.
    """


@index.command(short_help="Make an index: the name of this command can be left out.", context_settings=HELP)
@click.argument("model")
@click.argument("images")
@click.option("--out", "place", required=True, metavar="INDEX", help="A new folder, or URLs of PostgreSQL databases.")
@click.option("--calibrate", "calibrated", is_flag=True, help='Choose a threshold of "no match" on the model\'s run.')
@rate_option
@root_option
def create(*, model: str, images: str, place: str, calibrated: bool, false_match_rate: float, root: str | None) -> None:
    """Embed IMAGES by MODEL and write an index that `triptych search` finds them in.

    IMAGES is a folder, a file, or the Parquet files of `triptych embed`.
    """
    import triptych
    from triptych.search.images import build_index, calibrate_index
    from triptych.text import counted

    loaded = triptych.load(model)
    opened, report = build_index(loaded, images, place)
    with opened:
        _print_report(report, f"Indexed {counted(report.added, 'image')} in {place}")
        if calibrated:
            _print_calibration(calibrate_index(opened, false_match_rate=false_match_rate, model=loaded, root=root))


@index.command(short_help="Add images, or replace them.", context_settings=HELP)
@index_argument
@click.argument("images")
@model_option
def add(*, place: str, images: str, model: str | None) -> None:
    """Add IMAGES to INDEX; images that are there already are replaced."""
    from triptych.search import open_index
    from triptych.search.images import add_images, model_of
    from triptych.text import counted

    with open_index(place) as opened:
        report = add_images(opened, model_of(opened, model), images)
        added = counted(report.added, "image")
        _print_report(report, f"Added {added} to {place}, which has {opened.info().rows:,} now")


@index.command(short_help="Remove images.", context_settings=HELP)
@index_argument
@click.argument("ids", nargs=-1, required=True, metavar="IMAGE...")
def delete(*, place: str, ids: tuple[str, ...]) -> None:
    """Remove images from INDEX, by their paths or ids. The files themselves stay."""
    from triptych.search import open_index
    from triptych.search.adding import image_id

    with open_index(place) as opened:
        removed = opened.delete([*dict.fromkeys([*ids, *map(image_id, ids)])])
        click.echo(f"Removed {removed:,} images of {len(ids):,}; {opened.info().rows:,} are left")


@index.command(short_help="Show what an index holds.", context_settings=HELP)
@index_argument
@click.option("--verify", is_flag=True, help="Compare every file with its digest first (index in a folder).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")
def info(*, place: str, verify: bool, as_json: bool) -> None:
    """Show number, model, columns, size and threshold of INDEX."""
    import dataclasses
    import json

    from triptych.search import open_index
    from triptych.search.embedded.index import EmbeddedIndex
    from triptych.text import terminal_text

    with open_index(place) as opened:
        if verify and isinstance(opened, EmbeddedIndex):
            opened.verify()
        found = opened.info()
    settings = found.settings
    if as_json:
        content = {**dataclasses.asdict(found), **dataclasses.asdict(settings), "settings": None}
        content["calibration"] = settings.calibration and settings.calibration.model_dump()
        del content["settings"]
        click.echo(json.dumps(content, indent=2))
        return
    approximate = f"{found.approximate_rows:,} of them approximately, recall@10 {found.recall}"
    lines = {
        "index": f"{found.location} ({found.back_end}, {found.parts} parts, {found.size / 2**20:,.1f} MiB)",
        "images": f"{found.rows:,} of {settings.dimension} dimensions",
        "searched": "exactly" if not found.approximate_rows else approximate,
        "deleted": "unknown" if found.deleted is None else f"{found.deleted:,} rows still take space",
        "model": f"{settings.fingerprint} ({settings.model or 'place unknown'})",
        "columns": ", ".join(f"{name} ({kind})" for name, kind in settings.columns.items()) or "none",
        "threshold": "none; `triptych index calibrate` chooses one"
        if settings.calibration is None
        else f"{settings.calibration.threshold:.4f}",
    }
    for name, value in lines.items():
        click.echo(f"{name:>10}  {terminal_text(value)}")
    if settings.calibration is not None:
        _print_calibration(settings.calibration)


@index.command(short_help="Free space, and prepare fast search.", context_settings=HELP)
@index_argument
def compact(*, place: str) -> None:
    """Free the space of deleted images in INDEX, and prepare it for fast search after many additions."""
    from triptych.search import open_index

    with open_index(place) as opened:
        before = opened.info().size
        opened.compact()
        found = opened.info()
        click.echo(f"{found.rows:,} images, {before / 2**20:,.1f} MiB before, {found.size / 2**20:,.1f} MiB now")


@index.command(short_help='Choose the threshold of "no match".', context_settings=HELP)
@index_argument
@rate_option
@root_option
@model_option
def calibrate(*, place: str, false_match_rate: float, root: str | None, model: str | None) -> None:
    """Choose the threshold of "no match" of INDEX, on the validation images of its model's run.

    The rate of false matches is then measured on test images, of known classes and, where the run has them, of held-out
    classes. Searches mark what lies beyond the threshold.
    """
    from triptych.search import open_index
    from triptych.search.images import calibrate_index

    with open_index(place) as opened:
        _print_calibration(calibrate_index(opened, false_match_rate=false_match_rate, model=model, root=root))


def _print_report(report: "Report", done: str) -> None:
    from triptych.text import counted, terminal_text

    for path, reason in report.failures[:SHOWN_FAILURES]:
        click.echo(terminal_text(f"left out: {path} {reason}"), err=True)
    more = len(report.failures) - SHOWN_FAILURES
    if more > 0:
        click.echo(f"left out: {more:,} more", err=True)
    failed = f"; {counted(len(report.failures), 'file')} could not be read" if report.failures else ""
    click.echo(terminal_text(done + failed))


def _print_calibration(calibration: "Calibration") -> None:
    click.echo(f"A match is a cosine similarity of at least {calibration.threshold:.4f}.")
    click.echo(f"False matches among pairs of test images of two classes (requested: {calibration.requested:.2%}):")
    rates: dict[str, Rate | None] = {"known classes": calibration.known, "held-out classes": calibration.held_out}
    for name, rate in rates.items():
        if rate is not None:
            interval = f"95% interval {rate.low:.2%} to {rate.high:.2%}, over {rate.over}"
            click.echo(f"{name:>18}  {rate.share:.2%} ({interval}; {rate.pairs:,} pairs)")
    if calibration.true_matches is not None:
        click.echo(f"Pairs of one known class that match: {calibration.true_matches:.1%}")
