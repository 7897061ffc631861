"""The embedding job: list the images once, embed missing shards, and complete the job."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from triptych.artefacts.bundle import ENCODER, is_bundle
from triptych.artefacts.embedding.closing import SUCCESS, EmbeddingReport, close, finished
from triptych.artefacts.embedding.parts import write_part
from triptych.artefacts.embedding.plan import Plan, Precision, claim_plan, read_plan, write_list
from triptych.artefacts.embedding.sources import list_sources, source_name
from triptych.artefacts.model import TrainedModel
from triptych.errors import DataError

SHARD_SIZE = 10_000
Engine = Literal["local", "ray"]
Progress = Callable[[int, int], None]


def embed_images(
    model: "TrainedModel | str | Path",
    images: str | Path,
    out: str | Path,
    *,
    shard_size: int = SHARD_SIZE,
    precision: Precision = "float32",
    with_map: bool = False,
    shard: tuple[int, int] | None = None,
    engine: Engine = "local",
    progress: Progress = lambda _done, _images: None,
) -> EmbeddingReport:
    """Embed many images into Parquet files, and resume an earlier call.

    The images are listed once and divided into shards. Each shard is written atomically to one file: if the call is
    repeated after a crash, no row is missing or duplicated. Unreadable images are listed in
    `_failures/failures.parquet` with the reason. The file `_SUCCESS` with the counts is written when every part exists.

    Args:
        model: The model, or its path, as in `triptych.load`. A bundle is computed by ONNX Runtime, if installed, unless
            PyTorch has a GPU that ONNX Runtime does not support.
        images: A folder, one image, a CSV or Parquet table with a column `path`, or `image` of encoded images, and
            optionally `label`; a split as "mnist:test"; or a URL that fsspec knows, such as `s3://bucket/photos`.
        out: The output directory; or a file that ends with .parquet, into which all parts are joined at the end. Until
            then they are in a folder next to it; failures are listed in NAME.failures.parquet.
        shard_size: Number of images per shard.
        precision: Precision of the stored embeddings: "float32" or "float16".
        with_map: Write `x` and `y`, the two principal components of all embeddings, when every part exists.
        shard: (i, n): this is worker i of n, counted from 0; it embeds every n-th shard. All use the same `out`.
        engine: "local" embeds in this process; "ray" on the nodes of a Ray cluster, which share `out` and the images.
        progress: Called with the number of finished images of this worker, and their total.

    Raises:
        DataError: There are no images, or `out` belongs to another job.
        CheckpointError: There is no model at that path.
        ValueError: The shard or the shard size is invalid.

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
    loaded = opened(model)
    target = Path(out).expanduser()
    is_file = target.suffix == ".parquet" and not target.is_dir()
    folder = target.with_name(f"{target.name}.job") if is_file else target
    wanted = Plan(
        fingerprint=loaded.fingerprint,
        source=source_name(images),
        listed="",
        images=0,
        shard_size=shard_size,
        embedding_dim=loaded.embedding_dim,
        precision=precision,
        has_map=with_map,
    )
    if is_file and (report := finished(target, wanted)):
        return report
    plan = _planned(folder, wanted, images)
    mine = range(worker, plan.shards, workers)
    missing = [number for number in mine if not plan.part(folder, number).exists()]
    counter = _Counter(progress, total=sum(len(plan.rows(number)) for number in mine))
    counter.add(counter.total - sum(len(plan.rows(number)) for number in missing))
    try:
        if engine == "ray":
            from triptych.artefacts.embedding.ray_engine import run_on_ray

            run_on_ray(loaded.path, folder, plan, missing, embedded=counter.add)
        else:
            for number in missing:
                write_part(folder, plan, number, loaded, embedded=counter.add)
        return close(folder, plan, target)
    except FileNotFoundError:  # another process has completed the job and cleaned up its folder
        if finished(target, plan) if is_file else (folder / SUCCESS).exists():
            return close(folder, plan, target)
        raise


def opened(model: "TrainedModel | str | Path") -> TrainedModel:
    """Load a model for many images: a bundle with ONNX Runtime, unless only PyTorch has a GPU."""
    if isinstance(model, TrainedModel):
        return model
    from triptych.artefacts.loading import find_checkpoint, load

    place = find_checkpoint(model)
    if is_bundle(place) and (place / ENCODER).is_file() and find_spec("onnxruntime") and not _torch_alone_has_gpu():
        return load(place, engine="onnx")
    return load(place)


def _torch_alone_has_gpu() -> bool:
    if find_spec("torch") is None:
        return False
    import onnxruntime
    import torch

    return torch.cuda.is_available() and "CUDAExecutionProvider" not in onnxruntime.get_available_providers()


def _planned(folder: Path, wanted: Plan, images: str | Path) -> Plan:
    """Return the plan of the job in a folder; create it if there is none.

    Raises:
        DataError: The folder has other files, or belongs to another job.
    """
    plan = read_plan(folder)
    if plan is None:
        if folder.is_dir() and any(path.suffix == ".parquet" for path in folder.iterdir()):
            raise DataError(f"{folder}: expected a new folder, or one that this job has begun; it has other files.")
        found = list_sources(images)
        if not found.places:
            raise DataError(f"{images}: expected images, but there are none. Check the path.")
        name = write_list(folder, found)
        plan = claim_plan(folder, _with(wanted, listed=name, images=len(found.places)))
    if plan != _with(wanted, listed=plan.listed, images=plan.images):
        raise DataError(
            f"{folder}: expected a job as it was begun, {_described(plan)}; got {_described(wanted)}. Repeat the "
            "command as it was, or name another folder."
        )
    return plan


def _with(plan: Plan, *, listed: str, images: int) -> Plan:
    from dataclasses import replace

    return replace(plan, listed=listed, images=images)


def _described(plan: Plan) -> str:
    with_map = ", with a map" if plan.has_map else ""
    return (
        f"a job of the model {plan.fingerprint:.12} on {plan.source} with shards of {plan.shard_size:,} images in "
        f"{plan.precision}{with_map}"
    )


class _Counter:
    """Counts images, and reports progress."""

    def __init__(self, progress: Progress, *, total: int) -> None:
        self.total = total
        self._progress = progress
        self._done = 0

    def add(self, images: int) -> None:
        self._done += images
        self._progress(self._done, self.total)
