"""`triptych embed`: embeddings of many images, in Parquet files."""

from pathlib import Path

import click

from triptych.cli.options import HELP


def _parsed_shard(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:  # noqa: ARG001
    if value is None:
        return None
    number, slash, count = value.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise click.BadParameter(f"expected i/n with i from 0 to n - 1, as 0/4; got {value}")
    return int(number), int(count)


@click.command(short_help="Embed many images into Parquet files.", context_settings=HELP)
@click.argument("model")
@click.argument("images")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="An output directory, or one file that ends with .parquet.",
)
@click.option("--shard-size", type=click.IntRange(min=1), default=10_000, show_default=True, help="Images in a file.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="The type of the stored embeddings.",
)
@click.option("--map", "with_map", is_flag=True, help="Write x and y: two principal components of all embeddings.")
@click.option(
    "--shard", callback=_parsed_shard, metavar="I/N", help="Embed every N-th file only, from file I (0-based)."
)
@click.option(
    "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Where it computes."
)
def embed(
    *,
    model: str,
    images: str,
    out: Path,
    shard_size: int,
    precision: str,
    with_map: bool,
    shard: tuple[int, int] | None,
    engine: str,
) -> None:
    """Embed IMAGES by MODEL into Parquet files in OUT.

    IMAGES is a folder, an image, a CSV or Parquet table, a split such as mnist:test, or a URL such as
    s3://bucket/photos. MODEL is a checkpoint, a run folder, a bundle, an ONNX file, hf:user/name, or the name of a
    model in the package: mnist, fashionmnist, cifar10, digits.

    Columns: id, path, label, prediction, probability, reconstruction_error, embedding. Stopped at any moment and
    started again, the command continues. OUT/_SUCCESS appears at the end, OUT/_failures/failures.parquet lists what
    could not be read.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    import triptych
    from triptych.text import terminal_text

    console = Console(stderr=True)
    columns = (TextColumn("embedding images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        report = triptych.embed_images(
            model,
            images,
            out,
            shard_size=shard_size,
            precision="float16" if precision == "float16" else "float32",
            with_map=with_map,
            shard=shard,
            engine="ray" if engine == "ray" else "local",
            progress=lambda done, count: bar.update(task, completed=done, total=count),
        )
    click.echo(f"{report.rows:,} images in {report.parts:,} of {report.shards:,} shards in {terminal_text(out)}")
    if report.failures:
        place = f": see {terminal_text(report.failures_file)}" if report.failures_file else " so far"
        click.echo(f"{report.failures:,} could not be read{place}", err=True)
