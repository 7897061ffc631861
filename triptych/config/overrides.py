"""Overrides of single keys from the command line: `section.key=value`, as `--set` takes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triptych.config.document import Document, NotYamlError, read_document
from triptych.config.hints import expectation, known_keys, unknown_key_text
from triptych.config.report import KeyPath, key_name, shown


@dataclass(frozen=True)
class Override:
    """A key and its new value."""

    key: KeyPath
    document: Document

    def applied_to(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return `values` with the key set; missing sections are created."""
        return _replaced(values, self.key, self.document.values)


def parse_override(text: str) -> Override:
    """Parse `section.key=value`; key and value are validated later, with the complete config.

    Raises:
        ValueError: The text has another form, its value is not valid YAML, or the section does not exist.

    Example:
        >>> override = parse_override("training.scheduler.name=StepLR")
        >>> override.applied_to({"dataset": {"name": "digits"}})
        {'dataset': {'name': 'digits'}, 'training': {'scheduler': {'name': 'StepLR'}}}
    """
    name, equals, value = text.partition("=")
    key = tuple(part.strip() for part in name.split("."))
    if not equals or "" in key:
        raise ValueError(f"expected section.key=value, such as training.epochs=5; got {shown(text)}")
    try:
        document = read_document(value)
    except NotYamlError as error:
        raise ValueError(f"{key_name(key)}: {shown(value)} cannot be read as YAML: {error}") from None
    _check_sections(key, document.values)
    return Override(key, document)


def override_label(text: str) -> str:
    """Write the option as messages show it.

    Example:
        >>> override_label("training.epochs=x")
        '--set training.epochs=x'
    """
    return f"--set {text if text.isprintable() and len(text) <= 100 else shown(text)}"


def _check_sections(key: KeyPath, value: object) -> None:
    for end in range(1, len(key)):
        section = key[:end]
        if section not in known_keys():
            raise ValueError(f"{key_name(section)}: {unknown_key_text(section, {key[end]: value})}")
        if "properties" not in known_keys()[section]:
            wanted = expectation(known_keys()[section])
            raise ValueError(f"{key_name(section)}: expected {wanted}, with no keys below it; got {key_name(key)}")


def _replaced(values: Mapping[str, Any], key: KeyPath, value: object) -> Mapping[str, Any]:
    head, *rest = key
    if not rest:
        return {**values, head: value}
    section = values.get(head, {})
    if not isinstance(section, Mapping):
        return values  # an error of the file, reported as such
    return {**values, head: _replaced(section, tuple(rest), value)}
