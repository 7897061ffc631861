"""`triptych export`: write a trained model as a bundle that other software can use."""

from pathlib import Path

import click

from triptych.cli.options import HELP, root_option


@click.command(short_help="Write a trained model as a portable bundle.", context_settings=HELP)
@click.argument("model", metavar="MODEL")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "input_type",
    type=click.Choice(["float32", "uint8"]),
    default="float32",
    show_default=True,
    help="The pixels that encoder.onnx takes: floats in [0, 1], or bytes.",
)
@click.option(
    "--quantise",
    type=click.Choice(["int8"]),
    help="Write encoder.int8.onnx too, and measure its cost in MAP@R and its gain in time on the run's images.",
)
@click.option("--compact", is_flag=True, help="Write ONNX files alone, with weights rounded to float16.")
@click.option("--pictures/--no-pictures", default=True, help="Draw test images for the card; default: if available.")
@root_option
def export(
    *,
    model: str,
    folder: Path,
    input_type: str,
    quantise: str | None,
    compact: bool,
    pictures: bool,
    root: str | None,
) -> None:
    """Write MODEL (a checkpoint, a run folder, or an output directory) as a bundle into the new folder DIR.

    A bundle holds config.json, model.safetensors, encoder.onnx, decoder.onnx and a model card. `triptych.load(DIR)`
    reads it, with PyTorch or, where that is not installed, with ONNX Runtime.
    """
    import triptych
    from triptych.artefacts.bundle import read_description
    from triptych.text import terminal_text

    written = triptych.export(
        model,
        folder,
        input_type="uint8" if input_type == "uint8" else "float32",
        compact=compact,
        quantise_to="int8" if quantise == "int8" else None,
        pictures=pictures,
        root=root,
    )
    for path in sorted(written.iterdir()):
        click.echo(f"{path.stat().st_size:>12,}  {terminal_text(path)}")
    description = read_description(written)
    click.echo(f"{'fingerprint':>12}  {description.fingerprint}")
    if found := description.quantisation:
        for name, by in (("MAP@R", found.map_at_r), ("ms an image", found.milliseconds)):
            click.echo(f"{name:>12}  {by['float32']:.4f} in float32, {by['int8']:.4f} in int8")
