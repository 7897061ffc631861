"""Configs that are meant to cost time or memory, or that are another file: one short message, soon."""

import os
from pathlib import Path

import pytest

from triptych.config import load_config
from triptych.config.document import MOST_CHARACTERS, MOST_VALUES, NotYamlError, read_document
from triptych.config.loader import MOST_BYTES
from triptych.config.report import MOST_SHOWN
from triptych.errors import ConfigError

DIGITS = "dataset: {name: digits}\n"


def message_of(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def doubled(levels: int, kind: str) -> str:
    """Lines of which each contains the one before it twice."""
    first = {"list": "a0: &a0 [1]\n", "merge": "a0: &a0 {x0: 1}\n", "mapping": "a0: &a0 {x: 1}\n"}[kind]
    later = {
        "list": "a{n}: &a{n} [*a{p}, *a{p}]\n",
        "merge": "a{n}: &a{n} {{<<: [*a{p}, *a{p}], x{n}: 1}}\n",
        "mapping": "a{n}: &a{n} {{x: *a{p}, y: *a{p}}}\n",
    }[kind]
    return first + "".join(later.format(n=level, p=level - 1) for level in range(1, levels))


@pytest.mark.parametrize("kind", ["list", "merge", "mapping"])
def test_aliases_that_stand_for_billions_of_values_are_rejected(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, DIGITS + doubled(40, kind))

    assert f"expected at most {MOST_VALUES:,} keys and values" in message_of(path)


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {b: [{c: *a}]}"])
def test_an_alias_that_contains_itself_is_rejected(text: str) -> None:
    with pytest.raises(NotYamlError, match="expected at most"):
        read_document(text)


def test_aliases_within_the_limit_are_still_read() -> None:
    values = read_document(doubled(8, "merge")).values

    assert values["a7"] == {f"x{level}": 1 for level in range(8)}


@pytest.mark.parametrize("level", ["a7", "a8"])
def test_a_value_behind_many_aliases_is_shown_in_short(tmp_path: Path, level: str) -> None:
    text = doubled(9, "list") + f"dataset: {{name: digits}}\ntraining: {{triplet_mining: *{level}}}\n"

    lines = message_of(written(tmp_path, text)).splitlines()

    assert any("training.triplet_mining: expected one of random, all, semihard, hard; got [" in line for line in lines)
    assert max(map(len, lines)) < 300


@pytest.mark.parametrize("value", ["x" * 5000, "'" + "3" * 4000 + "'", "1e300", "[" + "7, " * 3000 + "]"])
def test_a_long_value_is_neither_printed_nor_suggested_whole(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, DIGITS + f"training:\n  epochs: {value}\n")

    assert len(message_of(path)) < 300


def test_thousands_of_unknown_keys_are_counted_and_the_first_are_listed(tmp_path: Path) -> None:
    path = written(tmp_path, DIGITS + "".join(f"k{number}: 1\n" for number in range(4000)))

    heading, *lines = message_of(path).splitlines()

    assert heading.endswith(": 4,000 errors")
    assert len(lines) == MOST_SHOWN + 1
    assert lines[0].startswith("  line 2: k0: unknown key, with value 1; ")
    assert lines[-1] == f"  ... and {4000 - MOST_SHOWN:,} more"


@pytest.mark.parametrize("count", [20_000, 300_000])
def test_more_keys_than_any_config_has_are_rejected(tmp_path: Path, count: int) -> None:
    assert "expected" in message_of(written(tmp_path, DIGITS + "".join(f"k{number}: 1\n" for number in range(count))))


def test_a_huge_file_is_not_read_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    with path.open("wb") as file:
        file.write(DIGITS.encode())
        file.truncate(10 * 2**30)  # a sparse file of 10 GiB

    assert f"which has at most {MOST_BYTES:,} bytes" in message_of(path)


def test_a_long_text_is_not_parsed() -> None:
    with pytest.raises(NotYamlError, match="expected at most 200,000 characters; got 200,001"):
        read_document("#" * (MOST_CHARACTERS + 1))


def test_a_pipe_and_a_device_are_rejected_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")

    for path in (tmp_path / "pipe.yaml", Path("/dev/zero")):
        assert "expected a regular file" in message_of(path)


@pytest.mark.parametrize("start", [b"PK\x03\x04" + b"\0" * 100, b"\x80\x02}q\x00.", b"PK\x03\x04" + b"\0" * 2_000_000])
def test_a_checkpoint_is_recognised(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "best.ckpt"
    path.write_bytes(start)

    message = message_of(path)

    assert "expected a config, which is a YAML file; got a checkpoint" in message
    assert "triptych evaluate" in message


def test_a_folder_is_recognised(tmp_path: Path) -> None:
    assert "got a folder. If it contains images, `triptych init` writes a config" in message_of(tmp_path)


def test_terminal_codes_of_the_file_never_reach_the_message(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31mrun\n.yaml"
    path.write_text('dataset:\n  name: "\\e[2J"\n  "\\e[2J": 1\n  root: "\\e[2J\\n"\n')

    for message in (message_of(path), message_of(path.with_name("x\x1b.yaml")), message_of(path, "a.\x1b[2J=1")):
        assert all(line.isprintable() for line in message.splitlines())
        assert "\x1b" not in message


def test_a_path_with_a_null_character_is_one_message() -> None:
    assert "null" in message_of(Path("run\0.yaml"))
