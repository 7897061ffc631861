"""What the collapse guard has found in a run, as its metrics.json tells: said near the head of the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that was wrong.

    Attributes:
        when: In which epochs, in words.
        what: The guard's own line, with cause and remedy.
    """

    when: str
    what: str


def findings(record: Mapping[str, Any]) -> list[Finding] | None:
    """Tell what the guard has found: nothing where all was well, None where nobody watched.

    Args:
        record: The run's metrics.json, whose `diagnoses` the guard has written; empty where it is not at hand.

    Example:
        >>> findings({"diagnoses": [{"epoch": 1, "last_epoch": 3, "what": "embeddings have collapsed"}]})
        [Finding(when='Epochs 1 to 3', what='embeddings have collapsed')]
    """
    if "diagnoses" not in record:
        return None
    found = []
    for one in record["diagnoses"]:
        first, last = one["epoch"], one["last_epoch"]
        found.append(Finding(f"Epoch {first}" if first == last else f"Epochs {first} to {last}", one["what"]))
    return found
