"""The service with dynamic batching beside services that compute one by one: requests a second, and p95.

    OMP_NUM_THREADS=1 python benchmarks/serving.py [--config configs/cifar10.yaml] [--clients 8 32] [--seconds 5]
        [--repeats 5]

`plain` is `benchmarks/plain_service.py`, which runs every request by itself; `one by one` is `triptych serve` with
`--batch 1`, and `batched` the same with its default. Each is a process of its own, and so is the load generator: each
client is a coroutine that sends one image (a PNG file of the model's size) over a connection that it keeps, and sends
the next as soon as the answer is there. The services take turns, so that all meet the same load of the machine; the
medians over the repeats are reported, with their range, and so are the ratios of each turn. `processor` is the
service's processor time for a request, which other programs on the machine change less than its speed. The weights are
random: they cost the same as trained ones.
"""

import argparse
import asyncio
import io
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

FILES = 64
WARM_UP = 1.0
"""Warm-up time in seconds."""


class Load(NamedTuple):
    """Measurements of the clients."""

    rate: float
    """Requests a second."""
    p50: float
    """Milliseconds."""
    p95: float
    processor: float
    """Milliseconds of the service's processor time for a request."""


def make_bundle(config_path: str, folder: Path) -> tuple[int, int, int]:
    """Export a model of a config with random weights, and return the shape of its images."""
    import torch

    from triptych.artefacts.export.exporting import export
    from triptych.artefacts.loading import load
    from triptych.config import load_config
    from triptych.models.builder import build_model

    config = load_config(config_path)
    shape = config.dataset.stored_shape
    pixels = {"pixel_mean": [0.5] * shape[0], "pixel_std": [0.25] * shape[0]}
    torch.manual_seed(0)
    network = build_model(config, num_classes=10, **pixels)
    classes = [str(number) for number in range(10)]
    described = {"config": config.model_dump(mode="json"), "classes": classes, **pixels, "backbone": None}
    weights = {f"model.{name}": value for name, value in network.state_dict().items()}
    checkpoint = folder / "random.ckpt"
    torch.save({"state_dict": weights, "hyper_parameters": described}, checkpoint)
    export(load(checkpoint, device="cpu"), folder / "bundle")
    return shape


def files_of(shape: tuple[int, int, int]) -> list[bytes]:
    """Draw images, as PNG files."""
    channels, height, width = shape
    rng, files = np.random.default_rng(0), []
    for _ in range(FILES):
        pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(stream, "PNG")
        files.append(stream.getvalue())
    return files


def start(*command: str) -> tuple["subprocess.Popen[str]", int]:
    """Start a service, and return its process and port."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline().partition("http://127.0.0.1:")[2].partition(";")[0])


def load_on(pid: int, port: int, files: list[bytes], clients: int, seconds: float) -> Load:
    """Put load on a service."""
    return asyncio.run(_load_on(pid, port, files, clients, seconds))


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process until now (Linux only)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _load_on(pid: int, port: int, files: list[bytes], clients: int, seconds: float) -> Load:
    begin = time.perf_counter() + WARM_UP
    end, times = begin + seconds, list[float]()

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (sent := time.perf_counter()) < end:
            file = files[number % FILES]
            number += clients
            head = f"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(file)}\r\n\r\n"
            writer.write(head.encode() + file)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert answer.startswith(b"http/1.1 200 "), answer
            await reader.readexactly(int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            if begin <= sent and (now := time.perf_counter()) <= end:
                times.append(now - sent)
        writer.close()

    async def used() -> float:
        await asyncio.sleep(begin - time.perf_counter())
        before = processor_seconds(pid)
        await asyncio.sleep(end - time.perf_counter())
        return processor_seconds(pid) - before

    processor, *_ = await asyncio.gather(used(), *map(client, range(clients)))
    p50, p95 = np.quantile(times, [0.5, 0.95]) * 1000
    return Load(len(times) / seconds, float(p50), float(p95), 1000 * processor / len(times))


def main() -> None:
    """Measure, and print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", default="configs/cifar10.yaml")
    parser.add_argument("--clients", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as temporary, ProcessPoolExecutor(1, mp_context=spawn) as generator:
        folder = Path(temporary)
        with ProcessPoolExecutor(1, mp_context=spawn) as exporter:
            files = files_of(exporter.submit(make_bundle, arguments.config, folder).result())
        bundle = str(folder / "bundle")
        command = ("-m", "triptych", "serve", bundle, "--port", "0")
        services = {
            "plain": start(str(Path(__file__).with_name("plain_service.py")), bundle),
            "one by one": start(*command, "--batch", "1"),
            "batched": start(*command),
        }
        print(f"{'clients':>8}  {'service':<12}{'requests/s':>24}{'p50, ms':>20}{'p95, ms':>20}{'processor, ms':>22}")
        for clients in arguments.clients:
            found: dict[str, list[Load]] = {name: [] for name in services}
            for _ in range(arguments.repeats):
                for name, (process, port) in services.items():
                    call = generator.submit(load_on, process.pid, port, files, clients, arguments.seconds)
                    found[name].append(call.result())
            for name, loads in found.items():
                columns = [_median(values) for values in zip(*loads, strict=True)]
                processor = _median(tuple(one.processor for one in loads), digits=2)
                print(f"{clients:>8}  {name:<12}{columns[0]:>24}{columns[1]:>20}{columns[2]:>20}{processor:>22}")
            for other in ("plain", "one by one"):
                pairs = zip(found["batched"], found[other], strict=True)
                ratios = [tuple(b / a for a, b in zip(single, batched, strict=True)) for batched, single in pairs]
                rate, p50, p95, processor = (_median(values, digits=2) for values in zip(*ratios, strict=True))
                print(f"{clients:>8}  {'/ ' + other:<12}{rate:>24}{p50:>20}{p95:>20}{processor:>22}", flush=True)
            print(json.dumps({"clients": clients, **found}))
        for process, _ in services.values():
            process.terminate()
            process.communicate(timeout=60)


def _median(values: tuple[float, ...], *, digits: int = 0) -> str:
    low, middle, high = (f"{one:.{digits}f}" for one in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    main()
