"""Shards as Ray tasks on the nodes of a cluster; Ray repeats tasks of a lost node."""

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from triptych.artefacts.embedding.parts import write_part
from triptych.artefacts.embedding.plan import Plan
from triptych.artefacts.model import TrainedModel
from triptych.errors import DataError


def run_on_ray(
    place: Path | None, folder: Path, plan: Plan, shards: Sequence[int], *, embedded: Callable[[int], None]
) -> None:
    """Embed shards on the cluster of RAY_ADDRESS, or on this machine if that is not set.

    Core tasks write the parts atomically: a task that runs twice writes the same file twice. Ray Data is not
    used, because its files contain a tensor type that other readers do not support.

    Raises:
        DataError: Ray is not installed, the model has no file, or a task failed with an error that a retry cannot fix.
    """
    if place is None:
        raise DataError("The engine ray needs a model in a file: save it, or name its place.")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise DataError("The engine ray needs Ray: pip install 'triptych[ray]'.") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    task = ray.remote(num_cpus=1, max_retries=-1)(_embed_shard)
    shared, file = str(folder.absolute()), str(place.absolute())
    waiting = [task.remote(shared, file, plan, number) for number in shards]
    while waiting:
        finished, waiting = ray.wait(waiting)
        try:
            for images in ray.get(finished):
                embedded(images)
        except ray.exceptions.RayTaskError as error:
            reason = " ".join(str(error.cause or error).split())
            raise DataError(
                f"A task of Ray failed: {reason[-400:]}. Repeat the command to continue the job."
            ) from error


def _embed_shard(folder: str, model: str, plan: Plan, shard: int) -> int:
    return write_part(Path(folder), plan, shard, _model(model))


@lru_cache(maxsize=1)
def _model(place: str) -> TrainedModel:
    """Load the model once for all tasks of a process."""
    from triptych.artefacts.embedding.job import opened

    return opened(place)
