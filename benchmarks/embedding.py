"""Cost of `triptych embed`: processor time per image, memory and bytes, by model file and kind of image.

    OMP_NUM_THREADS=1 python benchmarks/embedding.py [--images 2000] [--config configs/cifar10.yaml]

The model has the shape of a config and random weights, which change no time. `photos` are JPEG files of 640x480 pixels
in RGB, `thumbnails` PNG files of the model's own size. Each case is a whole job, in a process of its own: listing,
decoding, computing, writing Parquet. Processor time is that of all threads of the process after the model is loaded;
other programs on the machine change it little, unlike the time on the clock.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from measuring import in_own_process, peak_bytes, resident_bytes
from PIL import Image

from triptych.artefacts.export.quantising import INT8, quantise
from triptych.artefacts.run_pixels import LabelledPixels, RunPixels
from triptych.config import load_config


class Measured(NamedTuple):
    """One job."""

    milliseconds: float
    """Milliseconds of processor time per image."""
    on_the_clock: float
    """Wall-clock milliseconds per image."""
    memory: float
    """Peak memory of the process in MiB."""
    row: float
    """Bytes per row in Parquet."""


def main() -> None:
    """Make images and models, run the jobs, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--config", type=Path, default=Path("configs/cifar10.yaml"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        places = in_own_process(make_models, given.config, folder)
        height, width = load_config(given.config).dataset.image_shape[1:]
        photos(folder / "photos", count=given.images, size=(640, 480), form="JPEG")
        photos(folder / "thumbnails", count=given.images, size=(width, height), form="PNG")
        print("| images | model | precision | processor ms | ms | MiB | bytes a row |\n|---|---|---|---|---|---|---|")
        for kind in ("photos", "thumbnails"):
            for name, place in places.items():
                show(kind, name, "float32", in_own_process(job, place, folder / kind, folder / "out", "float32"))
        name, place = "ONNX", places["ONNX"]
        show(
            "thumbnails", name, "float16", in_own_process(job, place, folder / "thumbnails", folder / "out", "float16")
        )
        photos(folder / "more", count=4 * given.images, size=(width, height), form="PNG")
        show(
            "thumbnails, 4 times",
            name,
            "float32",
            in_own_process(job, place, folder / "more", folder / "out", "float32"),
        )


def show(kind: str, name: str, precision: str, found: Measured) -> None:
    """Print a row of the table."""
    print(
        f"| {kind} | {name} | {precision} | {found.milliseconds:.2f} | {found.on_the_clock:.2f} | {found.memory:.0f} | "
        f"{found.row:.0f} |",
        flush=True,
    )


def make_models(config: Path, folder: Path) -> dict[str, Path]:
    """Write a checkpoint and a bundle with an encoder in integers, of random weights."""
    import triptych
    from triptych.artefacts.bundle import read_description
    from triptych.models.builder import build_model

    checked = load_config(config)
    channels = checked.dataset.image_shape[0]
    pixels = {"pixel_mean": [0.4] * channels, "pixel_std": [0.3] * channels}
    classes = [str(number) for number in range(10)]
    network = build_model(checked, num_classes=len(classes), **pixels)
    described = {"config": checked.model_dump(mode="json"), "classes": classes, **pixels, "backbone": None}
    weights = {f"model.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": weights, "hyper_parameters": described}, folder / "best.ckpt")
    bundle = triptych.export(folder / "best.ckpt", folder / "bundle", pictures=False)
    shape = checked.dataset.image_shape
    noise = LabelledPixels(np.random.default_rng(0).random((64, *shape), np.float32), np.arange(64) % 10)
    quantise(bundle, read_description(bundle), RunPixels(noise, noise))
    return {"checkpoint": folder / "best.ckpt", "ONNX": bundle / "encoder.onnx", "ONNX, int8": bundle / INT8}


def photos(folder: Path, *, count: int, size: tuple[int, int], form: str) -> None:
    """Write smooth noise, which compresses similarly to photographs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / f"{number}.{form.lower()}", form)


def job(model: Path, images: Path, out: Path, precision: str) -> Measured:
    """Run a job."""
    import shutil

    import triptych

    loaded = triptych.load(model, device="cpu")
    loaded.embed(np.zeros((2, *loaded.description.preprocessing.shape[1:], 3), np.uint8))
    shutil.rmtree(out, ignore_errors=True)
    resident_bytes()
    begun, processor = time.perf_counter(), time.process_time()
    report = triptych.embed_images(loaded, images, out, shard_size=1000, precision=precision)
    processor, taken = time.process_time() - processor, time.perf_counter() - begun
    size = sum(path.stat().st_size for path in out.glob("part-*"))
    return Measured(processor / report.rows * 1e3, taken / report.rows * 1e3, peak_bytes() / 2**20, size / report.rows)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
