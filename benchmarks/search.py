"""Triptych's index beside bare faiss, LanceDB and PostgreSQL with pgvector: recall, times, memory, bytes.

    OMP_NUM_THREADS=1 python benchmarks/search.py --rows 100000 1000000 --dimensions 64 [--engines triptych faiss]
        [--data clustered | uniform] [--postgres postgresql://user@host/database]

Each case runs in a process of its own. `clustered` vectors lie around 1,000 centres, with 16 directions in which they
vary and a little noise in all, as embeddings do; `uniform` ones have no structure, the hardest case. Queries are drawn
in the same way. recall@10 is against a comparison of all pairs. Times are of single queries, one after another, with
k = 10 and metadata; the filter keeps 1 % of the rows. `processor` is the time of this process alone, which other
programs on the machine change little. Memory is what the process holds after the searches above what it held before
the index was built, with the pages of mapped files that it touched; that of a server is not counted.
"""

import argparse
import multiprocessing
import platform
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from triptych.search import create_index, open_index

FINGERPRINT = "benchmark"
QUERIES = 200
BATCH = 100_000
Ids = list[str]
Search = Callable[[np.ndarray, bool], Ids]
"""Finds the 10 nearest rows of a query, of all or of those that the filter keeps."""


class Built(NamedTuple):
    """An index that is ready."""

    search: Search
    size: int
    """Bytes on the disk."""


def vectors(kind: str, rows: int, dimension: int, seed: int) -> np.ndarray:
    """Draw unit vectors."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    drawn = rng.standard_normal((rows, dimension), np.float32)
    if kind == "clustered":
        centres = fixed.standard_normal((1000, dimension), np.float32)
        directions = 0.3 * fixed.standard_normal((16, dimension), np.float32)
        drawn *= 0.1
        drawn += centres[rng.integers(0, 1000, rows)] + rng.standard_normal((rows, 16), np.float32) @ directions
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn


def folder_size(folder: Path) -> int:
    """Add up the bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def triptych_index(place: str) -> Callable[[np.ndarray, np.ndarray, Path], Built]:
    """Build Triptych's index, in a folder or in PostgreSQL."""

    def build(data: np.ndarray, percent: np.ndarray, folder: Path) -> Built:
        location = place or str(folder / "photos.index")
        with create_index(location, dimension=data.shape[1], fingerprint=FINGERPRINT) as index:
            for first in range(0, len(data), BATCH if place else len(data)):
                part = slice(first, first + (BATCH if place else len(data)))
                ids = [str(number) for number in range(first, min(part.stop, len(data)))]
                index.add(ids, data[part], {"percent": percent[part]}, fingerprint=FINGERPRINT)
            index.compact()
            size = index.info().size
        opened = open_index(location)

        def search(query: np.ndarray, filtered: bool) -> Ids:
            where = "percent = 7" if filtered else None
            return [one.id for one in opened.search(query[None], 10, where=where, fingerprint=FINGERPRINT)[0]]

        return Built(search, size)

    return build


def faiss_flat(data: np.ndarray, percent: np.ndarray, folder: Path) -> Built:
    """Build nothing: compare with all rows."""
    import faiss

    del folder
    index = faiss.IndexFlatIP(data.shape[1])
    index.add(data)
    kept = faiss.SearchParameters(sel=faiss.IDSelectorBatch(np.flatnonzero(percent == 7)))  # type: ignore[call-arg]

    def search(query: np.ndarray, filtered: bool) -> Ids:
        return [str(row) for row in index.search(query[None], 10, params=kept if filtered else None)[1][0]]

    return Built(search, data.nbytes)


def faiss_hnsw(data: np.ndarray, percent: np.ndarray, folder: Path) -> Built:
    """Build a graph, in memory."""
    import faiss

    index = faiss.IndexHNSWFlat(data.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.add(data)
    faiss.write_index(index, str(folder / "hnsw"))
    kept = faiss.SearchParametersHNSW(sel=faiss.IDSelectorBatch(np.flatnonzero(percent == 7)), efSearch=128)  # type: ignore[attr-defined]
    free = faiss.SearchParametersHNSW(efSearch=128)  # type: ignore[attr-defined]

    def search(query: np.ndarray, filtered: bool) -> Ids:
        return [str(row) for row in index.search(query[None], 10, params=kept if filtered else free)[1][0]]

    return Built(search, folder_size(folder))


def lancedb(data: np.ndarray, percent: np.ndarray, folder: Path) -> Built:
    """Build LanceDB's IVF-PQ index with its defaults, candidates compared again 20 to one."""
    import lancedb as lance
    import pyarrow as pa

    column = pa.FixedSizeListArray.from_arrays(pa.array(data.reshape(-1)), data.shape[1])
    table = pa.table({"id": [str(row) for row in range(len(data))], "percent": percent, "vector": column})
    stored = lance.connect(folder).create_table("photos", table)
    stored.create_index(metric="cosine", vector_column_name="vector")

    def search(query: np.ndarray, filtered: bool) -> Ids:
        asked = stored.search(query).metric("cosine").refine_factor(20).limit(10)  # type: ignore[attr-defined]
        found = (asked.where("percent = 7", prefilter=True) if filtered else asked).to_list()
        return [row["id"] for row in found]

    return Built(search, folder_size(folder))


def resident() -> int:
    """Return the bytes that the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(case: tuple[str, str, int, int, str], answers: Connection) -> None:
    """Measure one engine and send its row of the table."""
    engine, kind, rows, dimension, postgres = case
    data, queries = vectors(kind, rows, dimension, 1), vectors(kind, QUERIES, dimension, 2)
    percent = np.random.default_rng(3).integers(0, 100, rows)
    kept = np.flatnonzero(percent == 7)
    folder = Path(tempfile.mkdtemp())
    engines: dict[str, Callable[[np.ndarray, np.ndarray, Path], Built]] = {
        "triptych": triptych_index(""),
        "postgres": triptych_index(postgres and f"{postgres}#benchmark_{rows}_{dimension}"),
        "faiss flat": faiss_flat,
        "faiss hnsw": faiss_hnsw,
        "lancedb": lancedb,
    }
    try:
        before, began, processor = resident(), time.perf_counter(), time.process_time()
        built = engines[engine](data, percent, folder)
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
        cells = [f"{seconds:.0f} ({processor:.0f})"]
        for filtered, candidates in ((False, np.arange(rows)), (True, kept)):
            times, hits = [], []
            built.search(queries[0], filtered)
            for query in queries:
                began, used = time.perf_counter(), time.process_time()
                found = built.search(query, filtered)
                times.append((time.perf_counter() - began, time.process_time() - used))
                scores = data[candidates] @ query if filtered else data @ query
                wanted = candidates[np.argpartition(-scores, 10)[:10]]
                hits.append(len(set(found) & set(map(str, wanted))) / 10)
            wall, own = (sorted(1e3 * one for one in column) for column in zip(*times, strict=True))
            p95 = wall[int(0.95 * len(wall))]
            cells.append(f"{statistics.mean(hits):.4f} | {statistics.median(wall):.2f} | {p95:.2f} | ")
            cells[-1] += f"{statistics.median(own):.2f}"
        memory = max(0, resident() - before) / 2**20
        answers.send(
            f"| {kind}, {rows:,} x {dimension} | {engine} | {' | '.join(cells)} | {memory:,.0f} "
            f"| {built.size / 2**20:,.0f} |"
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Measure the cases one after another and print a table."""
    names = ["triptych", "faiss flat", "faiss hnsw", "lancedb", "postgres"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--data", choices=["clustered", "uniform"], default="clustered")
    parser.add_argument("--engines", choices=names, nargs="+", default=names[:3])
    parser.add_argument("--postgres", default="", metavar="URL", help="For the engine postgres.")
    arguments = parser.parse_args()
    if "postgres" in arguments.engines and not arguments.postgres:
        parser.error("the engine postgres needs --postgres URL")

    import faiss

    print(f"threads {faiss.omp_get_max_threads()}, faiss {faiss.__version__}, Python {platform.python_version()}\n")
    print("| rows | engine | build, s (processor) | recall@10 | p50, ms | p95, ms | processor, ms ", end="")
    print("| recall@10, 1 % | p50, ms | p95, ms | processor, ms | memory, MiB | disk, MiB |")
    print("|---" * 13 + "|", flush=True)
    context = multiprocessing.get_context("spawn")
    for rows in arguments.rows:
        for dimension in arguments.dimensions:
            for engine in arguments.engines:
                answer, answers = context.Pipe(duplex=False)
                case = (engine, arguments.data, rows, dimension, arguments.postgres)
                process = context.Process(target=measure, args=(case, answers))
                process.start()
                answers.close()
                try:
                    print(answer.recv(), flush=True)
                except EOFError:
                    print(f"| {rows:,} x {dimension} | {engine} | failed |", flush=True)
                process.join()


if __name__ == "__main__":
    main()
