"""The plan of a job on disk: which images, which model, which shards; written once, the same for every worker."""

import hashlib
import json
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from triptych.artefacts.embedding.sources import ImageList
from triptych.errors import DataError
from triptych.files import place_once, replacing

FOLDER = "_job"
"""Folder in the output directory; readers of Parquet folders skip names that begin with an underscore."""
PLAN = "plan.json"

Precision = Literal["float32", "float16"]


@dataclass(frozen=True)
class Plan:
    """The settings of a job.

    Attributes:
        fingerprint: Fingerprint of the model.
        source: The images as given by the user.
        listed: The file in `_job` with the list of images.
        images: Number of images.
        shard_size: Number of images per shard; the last one may have fewer.
        embedding_dim: Dimensions of an embedding.
        precision: Precision of the stored embeddings.
        has_map: Whether the rows get `x` and `y`.
    """

    fingerprint: str
    source: str
    listed: str
    images: int
    shard_size: int
    embedding_dim: int
    precision: Precision
    has_map: bool

    @property
    def shards(self) -> int:
        """Number of shards."""
        return ceil(self.images / self.shard_size)

    def rows(self, shard: int) -> range:
        """Return the positions of a shard's images."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.images))

    def part(self, folder: Path, shard: int) -> Path:
        """Return the file of a shard."""
        return folder / f"part-{shard:05d}-of-{self.shards:05d}.parquet"

    def parts(self, folder: Path) -> list[Path]:
        """Return the files of the existing parts."""
        there = (self.part(folder, shard) for shard in range(self.shards))
        return [path for path in there if path.exists()]

    def failures(self, folder: Path, shard: int) -> Path:
        """Return the file of a shard's unreadable images."""
        return folder / FOLDER / f"failures-{shard:05d}.json"


def write_list(folder: Path, images: ImageList) -> str:
    """Write the list of images to a file named by its digest, and return the name."""
    import pyarrow as pa

    table = pa.table({"place": pa.array(images.places, pa.string()), "label": pa.array(images.labels, pa.string())})
    digest = hashlib.sha256()
    for place, label in zip(images.places, images.labels, strict=True):
        digest.update(f"{place}\0{label}\n".encode(errors="surrogateescape"))
    name = f"images-{digest.hexdigest()[:16]}.arrow"
    with replacing(folder / FOLDER / name) as temporary, pa.ipc.new_file(str(temporary), table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)
    return name


def claim_plan(folder: Path, plan: Plan) -> Plan:
    """Write the plan unless another worker was first, and return the valid plan."""
    place = folder / FOLDER / PLAN
    written = place.with_name(f"{uuid4().hex}-{PLAN}")  # processes on different machines may have the same process id
    with replacing(written) as temporary:
        temporary.write_text(json.dumps(asdict(plan), indent=2) + "\n")
    place_once(written, place)
    return read_plan(folder) or plan


def read_plan(folder: Path) -> Plan | None:
    """Read the plan of an existing job; None if there is none.

    Raises:
        DataError: It is damaged, or has another version.
    """
    path = folder / FOLDER / PLAN
    try:
        return Plan(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: expected the plan of a job, but it cannot be read: {error}. Name another folder."
        ) from error


def planned_images(folder: Path, plan: Plan, rows: range) -> list[dict[str, Any]]:
    """Read some rows of the memory-mapped list: dictionaries with `place` and `label`."""
    import pyarrow as pa

    with pa.memory_map(str(folder / FOLDER / plan.listed)) as source:
        table = pa.ipc.open_file(source).read_all().slice(rows.start, len(rows))
        found: list[dict[str, Any]] = table.to_pylist()
    return found
