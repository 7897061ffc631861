"""Messages about a command that was stopped name what continues it, not what continues a training."""

import errno
import signal
import sys

import click
import pytest

from triptych.cli.continuing import CONTINUED, REPEAT, how_to_continue
from triptych.cli.main import VERBS, run
from triptych.cli.search.index import index

MAKING, ADDING = CONTINUED["index create"], CONTINUED["index add"]


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["train", "run.yaml"], "resume with --resume"),
        (["index", "digits", "photos", "--out", "photos.index"], MAKING),
        (["index", "--out", "photos.index", "digits", "photos"], MAKING),
        (["index", "create", "digits", "photos", "--out", "photos.index"], MAKING),
        (["index", "add", "photos.index", "photos"], ADDING),
        (["index", "info", "photos.index"], REPEAT),
        (["embed", "digits", "photos", "--out", "out"], CONTINUED["embed"]),
        (["evaluate", "digits/0"], REPEAT),
        ([], REPEAT),
    ],
)
def test_each_verb_is_continued_in_its_own_way(arguments: list[str], advice: str) -> None:
    assert how_to_continue("triptych", arguments) == advice


def test_training_alone_is_resumed() -> None:
    assert "--resume" in how_to_continue("train", ["--config", "run.yaml"])  # as run.py is called
    assert [verb for verb in VERBS if "--resume" in how_to_continue("triptych", [verb])] == ["train"]
    assert set(CONTINUED) <= {*VERBS, *(f"index {verb}" for verb in index.commands)}


@pytest.mark.parametrize("reason", [signal.SIGTERM, errno.ENOSPC])
def test_a_stopped_index_prints_how_it_is_continued(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reason: int
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    @click.command(name="triptych", context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1)
    def command(arguments: tuple[str, ...]) -> None:
        if reason == errno.ENOSPC:
            raise OSError(reason, "No space left on device", "photos.index/part")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(sys, "argv", ["triptych", "index", "digits", "photos", "--out", "photos.index"])
    try:
        with pytest.raises(SystemExit):
            run(command)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    printed = capsys.readouterr().err
    assert MAKING in printed
    assert "--resume" not in printed
