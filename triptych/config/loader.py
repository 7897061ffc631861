"""Loads a config from a YAML file or a mapping: a valid `RunConfig`, or one message that lists every error."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

from triptych.config.document import MOST_CHARACTERS, Document, NotYamlError, read_document, write_document
from triptych.config.overrides import Override, override_label, parse_override
from triptych.config.report import Invalid, KeyPath, ReportLine, key_name, report, shown
from triptych.config.schema import RunConfig
from triptych.config.validation import find_invalid
from triptych.errors import ConfigError
from triptych.files import read_start
from triptych.text import terminal_text

ConfigLike: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any] | RunConfig"
"""The path of a YAML file, nested values as such a file has them, or a loaded config."""

MOST_BYTES = 4 * MOST_CHARACTERS


def load_config(config: ConfigLike, overrides: Sequence[str] = ()) -> RunConfig:
    r"""Load, override and validate a config; no data is read.

    Args:
        config: The path of a YAML file; or a mapping of the same form, in which paths and tuples are allowed too; or a
            config that is already loaded.
        overrides: Each `section.key=value`, as in the command line's `--set`; the value is YAML. They are validated
            like the file. If a key occurs twice, its last value is used.

    Raises:
        ConfigError: The file cannot be read or is not valid YAML; or keys, values or combinations are invalid. The
            message lists all errors in the order of the file, each with line, key path, expectation and value.
        TypeError: `config` is of another type.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "run.yaml"
        >>> _ = path.write_text("dataset:\n  name: digits\n")
        >>> load_config(path, ["training.learning_rate=3e-4"]).training.learning_rate
        0.0003
        >>> load_config({"dataset": {"name": "digits"}}).dataset.batch_size
        256
    """
    name, document = _document_of(config)
    flags, lines = _parse_overrides(overrides)
    values = document.values
    for flag in flags:
        values = flag.override.applied_to(values)
    source = _Source(document, flags)
    lines += source.repetition_lines()
    lines += [source.invalid_line(invalid) for invalid in find_invalid(values)]
    if lines:
        raise ConfigError(report(name, lines))
    return RunConfig.model_validate(values)


def dump_config(config: RunConfig) -> str:
    """Write the complete config as YAML, defaults included; `load_config` reads it back equal."""
    return write_document(config.model_dump())


@dataclass(frozen=True)
class _Flag:
    """An override and its place in the report."""

    override: Override
    order: tuple[int, int]
    label: str


@dataclass(frozen=True)
class _Source:
    """The origin of the values, file and overrides: it gives every error its place."""

    document: Document
    flags: list[_Flag]

    def invalid_line(self, invalid: Invalid) -> ReportLine:
        """Report the first of the keys that an override sets, otherwise the first that the file sets."""
        by_flag = [key for key in invalid.keys if self._flag(key)]
        by_file = [key for key in invalid.keys if key in self.document.lines]
        key = [*by_flag, *by_file, *invalid.keys][0]
        order, place = self._place(key)
        return ReportLine(order, f"{place}{key_name(key)}: {invalid.text}")

    def repetition_lines(self) -> list[ReportLine]:
        """Report the keys that occur twice in the file or in the value of an override."""
        in_file = [
            ReportLine((0, again.line), f"line {again.line}: {key_name(again.key)}: {again.text}")
            for again in self.document.repetitions
        ]
        in_flags = [
            ReportLine(flag.order, f"{flag.label}: {key_name(flag.override.key + again.key)}: {again.text}")
            for flag in self.flags
            for again in flag.override.document.repetitions
        ]
        return in_file + in_flags

    def _place(self, key: KeyPath) -> tuple[tuple[int, int], str]:
        if flag := self._flag(key):
            return flag.order, f"{flag.label}: "
        # A missing key has the line of its section.
        lines = (self.document.lines.get(key[:end]) for end in range(len(key), 0, -1))
        line = next(filter(None, lines), None)
        return ((0, line), f"line {line}: ") if line else ((0, 0), "")

    def _flag(self, key: KeyPath) -> _Flag | None:
        """Find the last override that sets a key or one of its sections."""
        return next((flag for flag in reversed(self.flags) if key[: len(flag.override.key)] == flag.override.key), None)


def _document_of(config: ConfigLike) -> tuple[str, Document]:
    """Return the name that messages give a config, and its values, which are a mapping of sections."""
    if isinstance(config, RunConfig):
        return "config", Document(config.model_dump())
    if isinstance(config, Mapping):
        return "config", Document(_plain(config))
    if not isinstance(config, str | os.PathLike):
        expected = "a path (str or Path), a mapping or a RunConfig"
        raise TypeError(f"expected {expected} as config; got {type(config).__name__}")
    path = Path(config)
    return terminal_text(path), _parse(path, _read(path))


def _plain(value: object) -> Any:  # noqa: ANN401 - a config has values of all types
    """Replace the types that only Python has by those of YAML."""
    match value:
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case os.PathLike():
            return os.fspath(value)
    return value


def _read(path: Path) -> str:
    name = terminal_text(path)
    try:
        content = read_start(path, MOST_BYTES + 1)
        if remedy := _other_kind(content):
            raise ConfigError(f"{name}: expected a config, which is a YAML file; {remedy}")
        if len(content) > MOST_BYTES:
            raise ConfigError(f"{name}: expected a config, which has at most {MOST_BYTES:,} bytes; got a larger file")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{name}: the file does not exist{_similar_file(path)}") from None
    except IsADirectoryError:
        raise ConfigError(
            f"{name}: expected a config, which is a YAML file; got a folder. If it contains images, "
            "`triptych init` writes a config for them; if it is a run, `triptych evaluate` measures it."
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        got = f"the byte 0x{error.object[error.start]:02x} on line {line}"
        raise ConfigError(f"{name}: expected a YAML file in UTF-8; got {got}. Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{name}: expected a readable YAML file; got: {error.strerror}") from None
    except ValueError as error:  # among others of a null character in the path
        raise ConfigError(f"{name}: {error}") from None


def _other_kind(content: bytes) -> str | None:
    """Recognise the other files of a run by their first bytes: archives and pickles, in which PyTorch saves."""
    if content.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return (
            "got a checkpoint or another binary file. `triptych evaluate` and `triptych audit` take checkpoints; to "
            "continue a run, give its config, and the checkpoint after --resume."
        )
    return None


def _similar_file(path: Path) -> str:
    names = sorted(sibling.name for sibling in path.parent.glob("*.y*ml"))
    close = get_close_matches(path.name, names, n=1)
    return f"; did you mean {terminal_text(path.with_name(close[0]))}?" if close else ""


def _parse(path: Path, text: str) -> Document:
    """Parse a text that has a mapping at the top."""
    try:
        document = read_document(text)
    except NotYamlError as error:
        line = ReportLine((0, error.line), f"line {error.line}, column {error.column}: cannot be read as YAML: {error}")
        raise ConfigError(report(terminal_text(path), [line])) from None
    if not isinstance(document.values, dict):
        sections = ", ".join(RunConfig.model_fields)
        got = "nothing but comments or blanks" if document.values is None else shown(document.values)
        line = ReportLine((0, 1), f"line 1: expected sections at the top ({sections}); got {got}")
        raise ConfigError(report(terminal_text(path), [line]))
    return document


def _parse_overrides(texts: Sequence[str]) -> tuple[list[_Flag], list[ReportLine]]:
    """Parse the overrides; report those that cannot be applied."""
    flags, lines = [], []
    for position, text in enumerate(texts):
        order, label = (1, position), override_label(text)
        try:
            flags.append(_Flag(parse_override(text), order, label))
        except ValueError as error:
            lines.append(ReportLine(order, f"{label}: {error}"))
    return flags, lines
