"""The end of a job: counts, the list of failures, the map, and one file of all parts on request."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from triptych.artefacts.embedding.mapping import principal_axes, with_points
from triptych.artefacts.embedding.parts import place_table
from triptych.artefacts.embedding.plan import FOLDER, Plan
from triptych.errors import DataError
from triptych.files import remove_leftovers, replacing

SUCCESS = "_SUCCESS"
FAILURES = "failures.parquet"
JOB_KEY = b"triptych.job"
"""The key in the schema of a single file that identifies the job that wrote it."""


@dataclass(frozen=True)
class EmbeddingReport:
    """The state of a job.

    Attributes:
        out: The folder of the parts, or the single file.
        rows: Number of rows in the existing parts.
        failures: Number of images that could not be read, so far.
        parts: Number of existing parts.
        shards: Number of parts of the complete job.
        failures_file: The list of images that could not be read; None if there are none, or the job is not complete.
    """

    out: Path
    rows: int
    failures: int
    parts: int
    shards: int
    failures_file: Path | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every part exists."""
        return self.parts == self.shards


def close(folder: Path, plan: Plan, out: Path) -> EmbeddingReport:
    """Count the existing parts; if all exist, write the additional files of a complete job.

    Args:
        folder: The folder of the parts.
        plan: The job.
        out: The folder itself, or the single file that the parts are joined to.
    """
    if out != folder and (found := finished(out, plan)):  # another process has completed the same job
        shutil.rmtree(folder, ignore_errors=True)
        return found
    parts = plan.parts(folder)
    if len(parts) < plan.shards:
        counted = [_counted(folder, plan, shard) for shard in range(plan.shards) if plan.part(folder, shard).exists()]
        failed = sum(len(one["failures"]) for one in counted)
        return EmbeddingReport(out, sum(one["rows"] for one in counted), failed, len(parts), plan.shards)
    lock = out.with_name(f".{out.name}.lock") if out != folder else folder / FOLDER / "closing.lock"
    with FileLock(lock):
        if out != folder:
            found = finished(out, plan) or _join(folder, plan, out)
            shutil.rmtree(folder, ignore_errors=True)
            remove_leftovers(out.parent, of=failures_beside(out).name)
            lock.unlink(missing_ok=True)
        else:
            found = _finish_folder(folder, plan)
            _sweep(folder)
    return found


def _sweep(folder: Path) -> None:
    """Remove files that killed processes have left in the folder of a complete job.

    A process that is slower than the others, and writes a part again, finds its file gone and the job complete.
    """
    for place in (folder, folder / FOLDER, folder / "_failures"):
        remove_leftovers(place)
    for staged in (folder / FOLDER).glob(f"{'[0-9a-f]' * 32}-*"):  # complete, but not renamed yet
        staged.unlink(missing_ok=True)


def finished(out: Path, plan: Plan) -> EmbeddingReport | None:
    """Return the report of a job that has written its single file; None if there is no such file.

    Args:
        out: The single file.
        plan: The job; its numbers of images and shards may be unknown.

    Raises:
        DataError: The file belongs to another job or to none, or has other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not out.exists():
        return None
    try:
        schema = pq.read_schema(out)
        found = json.loads((schema.metadata or {})[JOB_KEY])
        is_same = (found["fingerprint"], found["source"]) == (plan.fingerprint, plan.source)
        precision = "float16" if pa.types.is_float16(schema.field("embedding").type.value_type) else "float32"
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):
        is_same = False
    if not is_same:
        raise DataError(
            f"{out}: expected a new file, or one that this job has written; it exists already and is of another job. "
            "Name another file."
        )
    if (precision, "x" in schema.names) != (plan.precision, plan.has_map):
        with_map = "with a map" if "x" in schema.names else "without a map"
        raise DataError(
            f"{out}: expected the options by which this job was written, {precision} {with_map}; got others. Repeat "
            "the command as it was, or name another file."
        )
    failures = failures_beside(out) if found["failures"] else None
    return EmbeddingReport(out, found["rows"], found["failures"], found["shards"], found["shards"], failures)


def failures_beside(out: Path) -> Path:
    """Return the path of the list of failures of a job with a single file."""
    return out.with_name(f"{out.stem}.failures.parquet")


def _finish_folder(folder: Path, plan: Plan) -> EmbeddingReport:
    failures_file = folder / "_failures" / FAILURES
    success = folder / SUCCESS
    if not success.exists():
        if plan.has_map:
            _place_points(folder, plan)
        rows, failures = _failures(folder, plan, failures_file)
        counts = {"images": plan.images, "rows": rows, "failures": failures, "parts": plan.shards}
        with replacing(success) as temporary:
            temporary.write_text(json.dumps({**counts, "model_fingerprint": plan.fingerprint}, indent=2) + "\n")
    counts = json.loads(success.read_text())
    listed = failures_file if counts["failures"] else None
    return EmbeddingReport(folder, counts["rows"], counts["failures"], plan.shards, plan.shards, listed)


def _place_points(folder: Path, plan: Plan) -> None:
    """Fill in x and y, part by part; after a kill, all are filled in again with the same values."""
    import pyarrow.parquet as pq

    parts = plan.parts(folder)
    axes = principal_axes(parts, plan.embedding_dim)
    for part in parts:
        with pq.ParquetFile(part) as file:
            table = file.read()
        place_table(with_points(table, axes), part, staging=folder / FOLDER)


def _join(folder: Path, plan: Plan, out: Path) -> EmbeddingReport:
    """Join the parts to one file, a row group at a time."""
    import pyarrow.parquet as pq

    parts = plan.parts(folder)
    axes = principal_axes(parts, plan.embedding_dim) if plan.has_map else None
    listed = failures_beside(out)
    rows, failures = _failures(folder, plan, listed)
    if not failures:
        listed.unlink()
    schema = pq.read_schema(parts[0])
    job = {
        **{"fingerprint": plan.fingerprint, "source": plan.source, "images": plan.images},
        **{"rows": rows, "failures": failures, "shards": plan.shards},
    }
    schema = schema.with_metadata({**schema.metadata, JOB_KEY: json.dumps(job).encode()})
    staged = folder / FOLDER / out.name
    with replacing(staged) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                table = file.read()
            writer.write_table((table if axes is None else with_points(table, axes)).cast(schema))
    staged.replace(out)
    return EmbeddingReport(out, rows, failures, plan.shards, plan.shards, listed if failures else None)


def _failures(folder: Path, plan: Plan, path: Path) -> tuple[int, int]:
    """Write the list of failures, shard by shard, and count rows and failures."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"path": pa.string(), "reason": pa.string()})
    rows = failures = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for shard in range(plan.shards):
            counted = _counted(folder, plan, shard)
            rows, failures = rows + counted["rows"], failures + len(counted["failures"])
            if counted["failures"]:
                writer.write_table(pa.Table.from_pylist(counted["failures"], schema))
    return rows, failures


def _counted(folder: Path, plan: Plan, shard: int) -> dict[str, Any]:
    counted: dict[str, Any] = json.loads(plan.failures(folder, shard).read_text())
    return counted
