"""The plan of a job on disk: which images, which model, which shards; written once, the same for every worker."""

import json
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal

from triptych.artefacts.embedding.sources import ImageList
from triptych.errors import DataError
from triptych.files import replacing

FOLDER = "_job"
"""Below the output directory; readers of Parquet folders skip names that begin with an underscore."""
PLAN = "plan.json"
IMAGES = "images.arrow"
SUCCESS = "_SUCCESS"

Precision = Literal["float32", "float16"]


@dataclass(frozen=True)
class Plan:
    """What a job computes.

    Attributes:
        fingerprint: That of the model.
        images: How many there are.
        shard_size: Images of a shard; the last has what is left.
        embedding_dim: Dimensions of an embedding.
        precision: In which embeddings are stored.
    """

    fingerprint: str
    images: int
    shard_size: int
    embedding_dim: int
    precision: Precision

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return ceil(self.images / self.shard_size)

    def rows(self, shard: int) -> range:
        """Return the positions of a shard's images."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.images))

    def part(self, folder: Path, shard: int) -> Path:
        """Return the file of a shard."""
        return folder / f"part-{shard:05d}-of-{self.shards:05d}.parquet"

    def failures(self, folder: Path, shard: int) -> Path:
        """Return the file of what could not be read of a shard."""
        return folder / FOLDER / f"failures-{shard:05d}.json"


def write_plan(folder: Path, plan: Plan, images: ImageList) -> None:
    """Write the plan and the list of images; workers that do it at once write the same."""
    import pyarrow as pa

    table = pa.table({"place": pa.array(images.places, pa.string()), "label": pa.array(images.labels, pa.string())})
    with replacing(folder / FOLDER / IMAGES) as temporary, pa.ipc.new_file(str(temporary), table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)
    with replacing(folder / FOLDER / PLAN) as temporary:
        temporary.write_text(json.dumps(asdict(plan), indent=2) + "\n")


def read_plan(folder: Path) -> Plan | None:
    """Read the plan of a job that has begun; None where there is none.

    Raises:
        DataError: It is damaged.
    """
    path = folder / FOLDER / PLAN
    try:
        return Plan(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError) as error:
        raise DataError(f"{path}: expected the plan of a job, but it cannot be read: {error}.") from error


def planned_images(folder: Path, rows: range) -> list[dict[str, Any]]:
    """Read some images of the list, mapped from the disk: dictionaries with `place` and `label`."""
    import pyarrow as pa

    with pa.memory_map(str(folder / FOLDER / IMAGES)) as source:
        table = pa.ipc.open_file(source).read_all().slice(rows.start, len(rows))
        found: list[dict[str, Any]] = table.to_pylist()
    return found
