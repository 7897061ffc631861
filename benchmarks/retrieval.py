"""Time of exact retrieval metrics relative to their matrix product alone, and memory.

    OMP_NUM_THREADS=1 python benchmarks/retrieval.py [--rounds 3] [--only NAME ...]

Each case runs in a process of its own: `retrieval_metrics`, and the bare float32 product of the same queries with the
same gallery, 256 queries at a time into one buffer, in turns. The ratio is that of their times. Memory is the highest
resident size in the first call of `retrieval_metrics`, above that before it, when the embeddings are there and PyTorch
is warm.
"""

import argparse
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from triptych.metrics import retrieval_metrics

DIM = 128
PRODUCT_CHUNK = 256


class Case(NamedTuple):
    """Queries against a gallery; without queries, the gallery against itself, leaving one out."""

    gallery: int
    queries: int | None
    classes: int
    spread: float
    """Deviation of a class around its centre, which has 1; 0 makes all embeddings one."""
    repeats: bool = True
    """Whether to measure it in every round; or once."""


CASES = {
    "leave-one-out": Case(60_000, None, 10, 2.0),
    "many classes": Case(60_000, 6_000, 10_000, 2.0),
    "collapsed": Case(60_000, 6_000, 10, 0.0),
    "million": Case(1_000_000, 10_000, 1_000, 2.0, repeats=False),
}


def embeddings(case: Case, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Make unit vectors of even classes around random centres."""
    centres = torch.randn(case.classes, DIM, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(count) % case.classes
    if not case.spread:
        return centres[:1].repeat(count, 1), labels
    points = torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)).mul_(case.spread)
    return torch.nn.functional.normalize(points.add_(centres[labels])), labels


def seconds(call: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def resident() -> float:
    """Return the memory that the process holds now, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def measure(name: str, rounds: int, answers: Connection) -> None:
    """Measure one case and send its row of the table."""
    case = CASES[name]
    gallery, labels = embeddings(case, case.gallery, seed=1)
    query, query_labels = (gallery, labels) if case.queries is None else embeddings(case, case.queries, seed=2)
    inputs = (query, query_labels) if case.queries is None else (query, query_labels, gallery, labels)
    buffer = torch.empty(PRODUCT_CHUNK, len(gallery))

    def product() -> None:
        for part in torch.split(query, PRODUCT_CHUNK):
            torch.mm(part, gallery.T, out=buffer[: len(part)])

    retrieval_metrics(query[:64], query_labels[:64])
    torch.mm(query[:PRODUCT_CHUNK], gallery.T, out=buffer)
    before = resident()
    ours, bare = [], []
    for number in range(rounds if case.repeats else 1):
        ours.append(seconds(lambda: retrieval_metrics(*inputs)))
        if number == 0:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10 - before
        bare.append(seconds(product))
    ratios = [mine / least for mine, least in zip(ours, bare, strict=True)]
    answers.send(
        f"| {name} | {len(query):,} x {len(gallery):,} x {DIM} | {case.classes:,} | {statistics.median(bare):.1f} "
        f"| {statistics.median(ours):.1f} | {statistics.median(ratios):.1f} | {min(ratios):.1f} to {max(ratios):.1f} "
        f"| {len(ratios)} | {memory:,.0f} |"
    )


def main() -> None:
    """Measure the cases one after another and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    arguments = parser.parse_args()

    print(f"threads {torch.get_num_threads()}, torch {torch.__version__}, NumPy {np.__version__}, ", end="")
    print(f"Python {platform.python_version()}, {platform.machine()}\n")
    print("| case | pairs x dimensions | classes | product (s) | metrics (s) | ratio | spread | n | memory (MiB) |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    context = multiprocessing.get_context("spawn")
    for name in arguments.only:
        rows, answers = context.Pipe(duplex=False)
        process = context.Process(target=measure, args=(name, arguments.rounds, answers))
        process.start()
        answers.close()
        try:
            print(rows.recv(), flush=True)
        except EOFError:
            sys.exit(f"the case {name} did not end well")
        process.join()


if __name__ == "__main__":
    main()
