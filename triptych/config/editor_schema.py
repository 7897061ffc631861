"""The JSON schema with which editors complete, explain and check a config.

Run `python -m triptych.config.editor_schema` in the project's root after any change of `schema.py`.
"""

import json
import sys
from pathlib import Path
from typing import Any

from triptych.config.schema import nested_schema
from triptych.files import replacing

DEFAULT_PATH = Path("configs/schema.json")


def editor_schema() -> dict[str, Any]:
    """Return the JSON schema of a config: unknown keys are rejected; each key has a description, bounds and a default.

    It uses draft 7, the newest that editors' YAML support implements completely, and contains no references.

    Example:
        >>> editor_schema()["properties"]["training"]["properties"]["epochs"]["minimum"]
        1
    """
    return {"$schema": "http://json-schema.org/draft-07/schema#", **nested_schema()}


def schema_text() -> str:
    """Return the text of the schema file."""
    return json.dumps(editor_schema(), indent=2) + "\n"


def main(path: Path = DEFAULT_PATH) -> None:
    """Write the schema to `path`."""
    with replacing(path) as temporary:
        temporary.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
