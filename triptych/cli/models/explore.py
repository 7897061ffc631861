"""`triptych explore`: a page on which people look at what a model learned, and fix labels."""

from pathlib import Path

import click

from triptych.cli.options import HELP, model_argument, output_option, root_option


@click.command(short_help="Explore embeddings and fix labels on a page with the live model.", context_settings=HELP)
@model_argument
@click.argument("images", required=False, metavar="[IMAGES]", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--split",
    type=click.Choice(["test", "val", "train", "all"]),
    help="The images of the run that are shown, without IMAGES; by default those of test.",
)
@click.option(
    "--static",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write one file with the model inside, which can be mailed and opened without a server, and end.",
)
@click.option("--compare", metavar="MODEL", help="Show a second model on the same images beside the first one.")
@root_option
@output_option
@click.option(
    "--corrections",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("corrections.csv"),
    show_default=True,
    metavar="FILE",
    help="Where corrections of labels are saved, and continued from.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to serve; by default any free port.")
@click.option("--open/--no-open", "opens", default=True, help="Open the page in the browser.")
@click.option("--force", is_flag=True, help="Replace an existing FILE of --static.")
def explore(
    *,
    model: str,
    images: Path | None,
    split: str | None,
    static: Path | None,
    compare: str | None,
    root: str | None,
    output: Path,
    corrections: Path,
    port: int,
    opens: bool,
    force: bool,
) -> None:
    """Show the images of MODEL's run, or IMAGES (a folder or a table), on a page, as the model sees them.

    MODEL is a checkpoint, a run folder, a run as digits/3, or a bundle. The page has a map of the embeddings, nearest
    neighbours, reconstructions, the latent space, and a queue of doubtful labels. Corrections are saved at every step;
    train with dataset.corrections set to the file. Without --static, a server runs on this machine until Ctrl-C.
    """
    if images is not None and split is not None:
        raise click.UsageError("Expected IMAGES or --split, as the split is one of the run; got both.")
    if static is not None and static.exists() and not force:
        raise click.UsageError(f"{static} exists already, and is not overwritten. Name another file, or use --force.")

    from rich.console import Console

    from triptych.explorer.explore import explore as explore_model
    from triptych.explorer.static import size_advice
    from triptych.text import terminal_text

    console = Console(stderr=True)
    with console.status("reading ...") as status:
        explorer = explore_model(
            model,
            images,
            split=split or "test",
            compare=compare,
            root=root,
            output=output,
            announce=lambda doing: status.update(f"{doing} ..."),
        )
        if static is not None:
            status.update("laying out the map by t-SNE ...")
            size = explorer.save(static)
    for note in explorer.collection.notes:
        click.echo(f"note  {terminal_text(note)}", err=True)
    if static is not None:
        click.echo(f"{terminal_text(static)}: {len(explorer.collection):,} images, {size / 1e6:.1f} MB")
        if advice := size_advice(size):
            click.echo(advice, err=True)
        return
    server = explorer.serve(port=port, corrections=corrections)
    click.echo(f"{len(explorer.collection):,} images at {server.url}")
    click.echo(f"Corrections are saved in {terminal_text(corrections)}. Stop with Ctrl-C.")
    if opens:
        click.launch(server.url)
    try:
        server.wait()
    finally:
        server.close()
