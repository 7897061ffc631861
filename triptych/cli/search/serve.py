"""`triptych serve`: a model, and an index, over HTTP."""

from pathlib import Path

import click

from triptych.cli.options import HELP
from triptych.serving.requests.limits import Limits

DEFAULTS = Limits()


@click.command(short_help="Serve a model over HTTP.", context_settings=HELP)
@click.argument("model", metavar="BUNDLE")
@click.option("--index", metavar="INDEX", help="An index of its embeddings, for /search.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--token-file", type=click.Path(path_type=Path), metavar="FILE", help="A file with the bearer token.")
@click.option("--without-token", is_flag=True, help="Let other machines in without a token.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option(
    "--engine", type=click.Choice(["onnx", "torch"]), default="onnx", show_default=True, help="What computes a bundle."
)
@click.option(
    "--batch", type=click.IntRange(1), default=DEFAULTS.batch, show_default=True, help="Most images computed at once."
)
@click.option("--queue", type=click.IntRange(1), default=DEFAULTS.queue, show_default=True, help="Most images waiting.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULTS.seconds,
    show_default=True,
    help="Most seconds for a request.",
)
@click.option(
    "--max-images", type=click.IntRange(1), default=DEFAULTS.images, show_default=True, help="Most images of a request."
)
@click.option(
    "--max-bytes",
    type=click.IntRange(1),
    default=DEFAULTS.request_bytes,
    show_default=True,
    help="Most bytes of a request.",
)
@click.option(
    "--max-pixels", type=click.IntRange(1), default=DEFAULTS.pixels, show_default=True, help="Most pixels of an image."
)
def serve(
    *,
    model: str,
    index: str | None,
    host: str,
    port: int,
    token_file: Path | None,
    without_token: bool,
    device: str,
    engine: str,
    batch: int,
    queue: int,
    timeout: float,
    max_images: int,
    max_bytes: int,
    max_pixels: int,
) -> None:
    """Serve the model in BUNDLE: /embed, /classify, /reconstruct, /decode, /search, /healthz, /readyz, /metrics.

    /openapi.json describes them. Images come as multipart form data, as base64 in JSON, or as raw bytes. A bearer
    token is read from --token-file, or from the environment variable TRIPTYCH_TOKEN. SIGTERM and Ctrl-C finish what
    has begun. Logs are JSON, on standard error.
    """
    import triptych
    from triptych.serving.server import read_token
    from triptych.text import terminal_text

    limits = Limits(
        request_bytes=max_bytes,
        held_bytes=max(DEFAULTS.held_bytes, max_bytes),
        pixels=max_pixels,
        images=max_images,
        queue=queue,
        seconds=timeout,
        batch=batch,
    )
    triptych.serve(
        model,
        index=index,
        host=host,
        port=port,
        token=None if token_file is None else read_token(token_file),
        without_token=without_token,
        limits=limits,
        device=device,
        engine="torch" if engine == "torch" else "onnx",
        on_start=lambda url: click.echo(terminal_text(f"Serving {model} at {url}; stop with Ctrl-C")),
    )
