"""From a YAML file to a `RunConfig`, or to one message with every mistake in it; and back to YAML."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from triptych.config.document import Document, NotYamlError, read_document, write_document
from triptych.config.mistakes import KeyPath, Mistake, ReportLine, key_name, report, shown
from triptych.config.overrides import Override, override_label, parse_override
from triptych.config.schema import RunConfig
from triptych.config.validation import find_mistakes
from triptych.errors import ConfigError


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    r"""Read, override and validate a config; no data is read for it.

    Args:
        path: The YAML file.
        overrides: `section.key=value` each, as the command line's `--set` has them; the value is YAML. They are
            validated like the file; the later of two for the same key counts.

    Raises:
        ConfigError: The file cannot be read or is no YAML; or keys, values or their combinations are wrong: then the
            message lists all mistakes in the order of the file, each with line, key path, expectation and value.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "run.yaml"
        >>> _ = path.write_text("dataset:\n  name: digits\n")
        >>> load_config(path, ["training.learning_rate=3e-4"]).training.learning_rate
        0.0003
    """
    document = _parse(path, _read(path))
    flags, lines = _parse_overrides(overrides)
    values = document.values
    for flag in flags:
        values = flag.override.applied_to(values)
    source = _Source(document, flags)
    lines += source.repetition_lines()
    lines += [source.mistake_line(mistake) for mistake in find_mistakes(values)]
    if lines:
        raise ConfigError(report(str(path), lines))
    return RunConfig.model_validate(values)


def dump_config(config: RunConfig) -> str:
    """Write the whole config as YAML, defaults included; `load_config` reads it back equal."""
    return write_document(config.model_dump())


@dataclass(frozen=True)
class _Flag:
    """An override, and where the report places it."""

    override: Override
    order: tuple[int, int]
    label: str


@dataclass(frozen=True)
class _Source:
    """Where the values came from, the file and the flags: it gives every mistake its place."""

    document: Document
    flags: list[_Flag]

    def mistake_line(self, mistake: Mistake) -> ReportLine:
        """Blame the first of the keys that a flag gives, else the first that the file gives."""
        by_flag = [key for key in mistake.keys if self._flag(key)]
        by_file = [key for key in mistake.keys if self.document.line(key)]
        key = [*by_flag, *by_file, *mistake.keys][0]
        order, place = self._place(key)
        return ReportLine(order, f"{place}{key_name(key)}: {mistake.text}")

    def repetition_lines(self) -> list[ReportLine]:
        """Report the keys that the file, or the value of a flag, has twice."""
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
        # A missing key is placed at its section.
        lines = (self.document.line(key[:end]) for end in range(len(key), 0, -1))
        line = next(filter(None, lines), None)
        return ((0, line), f"line {line}: ") if line else ((0, 0), "")

    def _flag(self, key: KeyPath) -> _Flag | None:
        """Find the flag that counts for a key: the last that sets it, or a section that it lies in."""
        return next((flag for flag in reversed(self.flags) if key[: len(flag.override.key)] == flag.override.key), None)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file{_similar_file(path)}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        got = f"the byte 0x{error.object[error.start]:02x} on line {line}"
        raise ConfigError(f"{path}: expected a YAML file, text in UTF-8; got {got}; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: expected a YAML file that can be read; got: {error.strerror}") from None


def _similar_file(path: Path) -> str:
    names = sorted(sibling.name for sibling in path.parent.glob("*.yaml"))
    close = get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.with_name(close[0])}?" if close else ""


def _parse(path: Path, text: str) -> Document:
    """Parse a text whose top is a mapping of sections, right or wrong."""
    try:
        document = read_document(text)
    except NotYamlError as error:
        line = ReportLine((0, error.line), f"line {error.line}, column {error.column}: cannot be read as YAML: {error}")
        raise ConfigError(report(str(path), [line])) from None
    if not isinstance(document.values, dict):
        sections = ", ".join(RunConfig.model_fields)
        got = "nothing but comments or blanks" if document.values is None else shown(document.values)
        line = ReportLine((0, 1), f"line 1: expected sections at the top ({sections}); got {got}")
        raise ConfigError(report(str(path), [line]))
    return document


def _parse_overrides(texts: Sequence[str]) -> tuple[list[_Flag], list[ReportLine]]:
    """Parse what can be applied, and report the rest."""
    flags, lines = [], []
    for position, text in enumerate(texts):
        order, label = (1, position), override_label(text)
        try:
            flags.append(_Flag(parse_override(text), order, label))
        except ValueError as error:
            lines.append(ReportLine(order, f"{label}: {error}"))
    return flags, lines
