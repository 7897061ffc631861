"""The job as a story: list the images once, embed what is missing, shard by shard, and close it when all is there."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from triptych.artefacts.embedding.parts import write_part
from triptych.artefacts.embedding.plan import FOLDER, SUCCESS, Plan, Precision, read_plan, write_plan
from triptych.artefacts.embedding.sources import list_sources
from triptych.artefacts.model import TrainedModel
from triptych.errors import DataError
from triptych.files import replacing

SHARD_SIZE = 10_000
Engine = Literal["local", "ray"]


@dataclass(frozen=True)
class EmbeddingReport:
    """What a job has done.

    Attributes:
        folder: Where the parts are.
        rows: Rows in the parts that are there.
        failures: Images that could not be read, so far.
        parts: Parts that are there.
        shards: Parts that there will be.
    """

    folder: Path
    rows: int
    failures: int
    parts: int
    shards: int

    @property
    def is_complete(self) -> bool:
        """Whether every part is there."""
        return self.parts == self.shards


def embed_images(
    model: "TrainedModel | str | Path",
    images: str | Path,
    out: str | Path,
    *,
    shard_size: int = SHARD_SIZE,
    precision: Precision = "float32",
    shard: tuple[int, int] | None = None,
    engine: Engine = "local",
    progress: Callable[[int, int], None] = lambda _done, _shards: None,
) -> EmbeddingReport:
    """Embed many images into Parquet files, and continue where an earlier call has stopped.

    The images are listed once and divided into shards. Each shard becomes one file, by rename: after a crash no row is
    missing or doubled when the call is repeated. What cannot be read is listed in `_failures/failures.parquet` with the
    reason. The file `_SUCCESS` with the counts appears when every part is there.

    Args:
        model: The model, or its place, as `triptych.load` takes it.
        images: A folder, one image, or a URL that fsspec knows, such as `s3://bucket/photos`.
        out: The output directory.
        shard_size: Images of a shard.
        precision: In which embeddings are stored: "float32" or "float16".
        shard: (i, n): of n workers, this is number i, counted from 0; it embeds every n-th shard. All use one `out`.
        engine: "local" embeds in this process; "ray" on the nodes of a Ray cluster, which share `out` and the images.
        progress: Called with the shards that are done, and all.

    Raises:
        DataError: There are no images, or `out` is of another job.
        CheckpointError: There is no model at that place.
        ValueError: A shard or shard size that cannot be.

    Example:
        >>> report = embed_images("best.ckpt", "photos", "embedded", shard_size=10)
        >>> report.rows, report.shards, report.is_complete
        (24, 3, True)
    """
    if shard_size < 1:
        raise ValueError(f"shard_size must be at least 1, but it is {shard_size}")
    worker, workers = shard or (0, 1)
    if not 0 <= worker < workers:
        raise ValueError(f"shard must be (i, n) with 0 <= i < n, but it is ({worker}, {workers})")
    from triptych.artefacts.loading import load

    place = Path(model).expanduser() if isinstance(model, str | Path) else model.path
    loaded = load(model) if isinstance(model, str | Path) else model
    folder = Path(out).expanduser()
    plan = _planned(folder, loaded, images, shard_size=shard_size, precision=precision)
    missing = [number for number in range(worker, plan.shards, workers) if not plan.part(folder, number).exists()]
    done = plan.shards - len(missing) if workers == 1 else 0
    if engine == "ray":
        _run_on_ray(place, folder, plan, missing, progress=progress)
    else:
        for count, number in enumerate(missing, start=done + 1):
            write_part(folder, plan, number, loaded)
            progress(count, plan.shards if workers == 1 else len(missing))
    return _closed(folder, plan)


def _planned(folder: Path, model: TrainedModel, images: str | Path, *, shard_size: int, precision: Precision) -> Plan:
    """Return the plan of the job in a folder, which is made where it has none."""
    plan = read_plan(folder)
    if plan is None:
        if folder.is_dir() and any(path.suffix == ".parquet" for path in folder.iterdir()):
            raise DataError(f"{folder}: expected a new folder, or one that this job has begun; it has other files.")
        listed = list_sources(images)
        plan = Plan(model.fingerprint, len(listed.places), shard_size, model.embedding_dim, precision)
        write_plan(folder, plan, listed)
    wanted = (model.fingerprint, shard_size, precision)
    if (plan.fingerprint, plan.shard_size, plan.precision) != wanted:
        raise DataError(
            f"{folder}: expected a job of the model {plan.fingerprint:.12} with shards of {plan.shard_size:,} images "
            f"in {plan.precision}, as it was begun; got the model {model.fingerprint:.12}, {shard_size:,} and "
            f"{precision}. Repeat the command as it was, or name another folder."
        )
    return plan


def _closed(folder: Path, plan: Plan) -> EmbeddingReport:
    """Count what is there; where that is everything, write the list of failures and the mark of success."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    there = [shard for shard in range(plan.shards) if plan.part(folder, shard).exists()]
    found = [json.loads(plan.failures(folder, shard).read_text()) for shard in there]
    failures = [failure for one in found for failure in one["failures"]]
    rows = sum(one["rows"] for one in found)
    report = EmbeddingReport(folder, rows, len(failures), len(there), plan.shards)
    if report.is_complete:
        schema = pa.schema({"path": pa.string(), "reason": pa.string()})
        with replacing(folder / "_failures" / "failures.parquet") as temporary:
            pq.write_table(pa.Table.from_pylist(failures, schema), temporary)
        counts = {"images": plan.images, "rows": rows, "failures": len(failures), "parts": plan.shards}
        with replacing(folder / SUCCESS) as temporary:
            temporary.write_text(json.dumps({**counts, "model_fingerprint": plan.fingerprint}, indent=2) + "\n")
    return report


def _run_on_ray(
    place: Path | None, folder: Path, plan: Plan, shards: Sequence[int], *, progress: Callable[[int, int], None]
) -> None:
    """Embed shards as tasks of Ray, which repeats those of a node that is lost."""
    import os

    if place is None:
        raise DataError("Ray needs a model in a file: save it, or name its place.")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise DataError("The engine ray needs Ray: pip install 'triptych[ray]'.") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)

    shared, file = folder.absolute(), place.absolute()

    @ray.remote(num_cpus=1, max_retries=-1)
    def embed_shard(number: int) -> int:
        from triptych.artefacts.loading import load

        return write_part(shared, plan, number, load(file))

    waiting = [embed_shard.remote(number) for number in shards]
    done = plan.shards - len(shards)
    while waiting:
        finished, waiting = ray.wait(waiting)
        ray.get(finished)
        done += len(finished)
        progress(done, plan.shards)


__all__ = ["FOLDER", "EmbeddingReport", "embed_images"]
