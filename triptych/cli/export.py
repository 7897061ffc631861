"""`triptych export`: write a trained model as a bundle that other software can use."""

from pathlib import Path

import click

from triptych.cli.options import HELP


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
def export(*, model: str, folder: Path, input_type: str) -> None:
    """Write MODEL (a checkpoint, a run folder, or an output directory) as a bundle into the new folder DIR.

    A bundle holds config.json, model.safetensors, encoder.onnx, decoder.onnx and a model card. `triptych.load(DIR)`
    reads it, with PyTorch or, where that is not installed, with ONNX Runtime.
    """
    import triptych
    from triptych.text import terminal_text

    written = triptych.export(model, folder, input_type="uint8" if input_type == "uint8" else "float32")
    for path in sorted(written.iterdir()):
        click.echo(f"{path.stat().st_size:>12,}  {terminal_text(path)}")
    click.echo(f"{'fingerprint':>12}  {triptych.load(written, device='cpu').fingerprint}")
