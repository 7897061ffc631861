"""The JSON schema for editors: strict, documented, up to date."""

import json
from pathlib import Path

import pytest

from triptych.config import RunConfig
from triptych.config.editor_schema import editor_schema, main
from triptych.config.hints import known_keys

COMMITTED = Path(__file__).parents[2] / "configs" / "schema.json"


def test_the_committed_schema_is_up_to_date():
    committed = json.loads(COMMITTED.read_text(encoding="utf-8"))
    assert committed == editor_schema(), "run python -m triptych.config.editor_schema"


def test_the_file_is_written_whole(tmp_path):
    main(tmp_path / "schema.json")
    assert json.loads((tmp_path / "schema.json").read_text(encoding="utf-8")) == editor_schema()


def test_every_section_rejects_unknown_keys():
    sections = [editor_schema(), *(schema for schema in known_keys().values() if "properties" in schema)]
    assert len(sections) == 10
    assert all(section["additionalProperties"] is False for section in sections)


@pytest.mark.parametrize("key", known_keys(), ids=".".join)
def test_every_key_is_described(key):
    assert known_keys()[key]["description"]


def test_there_are_no_references():
    assert "$ref" not in json.dumps(editor_schema())
    assert "$defs" not in json.dumps(editor_schema())


def test_the_defaults_are_those_of_the_config():
    config = RunConfig.model_validate({"dataset": {"name": "mnist"}}).model_dump()
    for key, schema in known_keys().items():
        if "default" in schema:
            value = config
            for part in key:
                value = value[part]
            assert value == schema["default"]


def test_only_the_name_of_the_data_set_is_required():
    assert editor_schema()["required"] == ["dataset"]
    assert [key for key, schema in known_keys().items() if "required" in schema] == [("dataset",)]
    assert known_keys()["dataset",]["required"] == ["name"]
