"""Your own images: decoding into the cache beside other ways, and training from the map beside from memory.

    python benchmarks/decoding.py [--images 2000] [--workers 2] [--rounds 3] [--only decode train]

The images are crops of scikit-learn's two sample photographs, 480x360 JPEG files, brought to 64x64: real content, made
by the benchmark in a temporary folder. `decode` times four ways to have them as uint8 pixels on the disk, in turns: a
plain loop over Pillow, the same in as many threads as there are workers, Hugging Face `datasets` (an image folder,
mapped by as many processes), and Triptych's cache; then the cache a second time, when nothing is decoded. Files are in
the system's cache in all of them. `train` times epochs of the shipped CIFAR-10 recipe on 32x32 images, batches alone
and whole steps, with the pixels mapped from a file and in memory, in turns. Wanted: from the map at least 0.9 times as
many images a second.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import conditions, one_key_a_line
from PIL import Image
from shipped_way import FLOAT32, shipped_config
from sklearn.datasets import load_sample_images

from triptych.config.schema import RunConfig
from triptych.data.batches.loader import BatchLoader
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.data.pixels.cache import decode_once
from triptych.data.pixels.entries import Form
from triptych.data.pixels.mapped import Images, MappedImages, map_pixels
from triptych.training.building import build_module

SIDE = 64
CONFIG = Path(__file__).parents[1] / "configs" / "cifar10.yaml"


def make_photographs(folder: Path, count: int) -> list[Path]:
    """Write crops of two photographs as JPEG files, in two class folders."""
    random = np.random.default_rng(0)
    photographs = [Image.fromarray(pixels).resize((960, 640)) for pixels in load_sample_images().images]
    files = []
    for number in range(count):
        left, top = int(random.integers(0, 480)), int(random.integers(0, 280))
        file = folder / f"class{number % 2}" / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        photographs[number % 2].crop((left, top, left + 480, top + 360)).save(file, quality=90)
        files.append(file)
    return sorted(files)


def by_pillow(files: list[Path], target: Path, *, threads: int) -> None:
    """Decode and resize with Pillow, in this thread or in several, and save the array."""

    def pixels(file: Path) -> np.ndarray:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))

    if threads == 1:
        np.save(target, np.stack([pixels(file) for file in files]))
        return
    with ThreadPoolExecutor(threads) as executor:
        np.save(target, np.stack(list(executor.map(pixels, files))))


def by_datasets(folder: Path, target: Path, *, workers: int) -> None:
    """Let Hugging Face datasets list the folder, and decode and resize in its processes."""
    import datasets

    datasets.disable_progress_bars()
    listed = datasets.load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=str(target))
    features = datasets.Features(
        {"pixels": datasets.Array3D((SIDE, SIDE, 3), "uint8"), "label": datasets.Value("int64")}
    )
    listed.map(_resized, num_proc=workers, remove_columns=["image"], features=features)


def _resized(row: dict[str, Any]) -> dict[str, Any]:
    image = row["image"].convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return {"pixels": np.asarray(image), "label": row["label"]}


def by_triptych(files: list[Path], cache: Path, *, workers: int) -> None:
    """Decode into the cache, or find everything there."""
    decoded = decode_once(files, Form((3, SIDE, SIDE), "stretch"), origin="made", cache=cache, threads=workers)
    assert not decoded.rejected


def decode_speeds(count: int, workers: int, rounds: int) -> dict[str, Any]:
    """Time all ways in turns; images a second."""
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        files = make_photographs(place / "photos", count)
        for number in range(rounds):
            cache, other = place / f"cache{number}", place / f"other{number}"
            ways: dict[str, Callable[[], None]] = {
                "pillow loop": lambda: by_pillow(files, place / "loop.npy", threads=1),
                "pillow threads": lambda: by_pillow(files, place / "threads.npy", threads=workers),
                "datasets": lambda other=other: by_datasets(place / "photos", other, workers=workers),
                "triptych": lambda cache=cache: by_triptych(files, cache, workers=workers),
                "triptych again": lambda cache=cache: by_triptych(files, cache, workers=workers),
            }
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                seconds.setdefault(name, []).append(time.perf_counter() - began)
    speeds = {name: [round(count / one) for one in times] for name, times in seconds.items()}
    medians = {name: statistics.median(one) for name, one in speeds.items()}
    ratios = {name: round(medians["triptych"] / medians[name], 2) for name in medians if name.startswith(("p", "d"))}
    return {"images": count, "workers": workers, "images_a_second": speeds, "triptych_over": ratios}


def train_speeds(count: int, rounds: int) -> dict[str, Any]:
    """Time epochs from the map and from memory, in turns; images a second and their ratios."""
    config = shipped_config(CONFIG, [FLOAT32])
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 10, (count,), generator=generator)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pixels"
        file.write_bytes(pixels.numpy().tobytes())
        kinds: dict[str, Images] = {"memory": pixels, "map": MappedImages(map_pixels(file, shape=(3, 32, 32)))}
        speeds: dict[str, dict[str, list[int]]] = {}
        loaders = {name: _loader(config, images, labels) for name, images in kinds.items()}
        module = build_module(config, loaders["memory"][0])
        for number in range(rounds + 1):
            for name, (_, loader) in loaders.items():
                loader.sampler.set_epoch(number)
                began = time.perf_counter()
                size = sum(len(batch.label) for batch in loader)
                batches = size / (time.perf_counter() - began)
                began = time.perf_counter()
                size = 0
                for step, batch in enumerate(loader):
                    if step == 12:
                        break
                    module.measure(batch).losses.total.backward()
                    size += len(batch.label)
                steps = size / (time.perf_counter() - began)
                if number:  # the first round warms up
                    speeds.setdefault("batches alone", {}).setdefault(name, []).append(round(batches))
                    speeds.setdefault("training steps", {}).setdefault(name, []).append(round(steps))
    ratios = {
        what: round(statistics.median(m / i for m, i in zip(of["map"], of["memory"], strict=True)), 3)
        for what, of in speeds.items()
    }
    return {"images": count, "images_a_second": speeds, "map_over_memory": ratios}


def _loader(config: RunConfig, images: Images, labels: torch.Tensor) -> tuple[ImageDataModule, BatchLoader]:
    split = Split(images, labels)
    few = Split(images[:500], labels[:500])
    data = ImageDataModule(config, ImageData(split, few, tuple("0123456789"), "made", validation=few))
    return data, data.train_dataloader()


def main() -> None:
    """Run the chosen parts, and print figures with hardware and versions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=["decode", "train"], default=["decode", "train"])
    arguments = parser.parse_args()
    report: dict[str, Any] = {}
    if "decode" in arguments.only:
        report["decode"] = decode_speeds(arguments.images, arguments.workers, arguments.rounds)
    if "train" in arguments.only:
        report["train"] = train_speeds(20_000, arguments.rounds)
    print(one_key_a_line({**report, "conditions": conditions(shipped_config(CONFIG, [FLOAT32]))}))


if __name__ == "__main__":
    main()
