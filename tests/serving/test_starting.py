"""What keeps a service from starting is reported in one message, with exit code 2."""

import socket

import pytest

from triptych.serving import Limits


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (("--host", "0.0.0.0"), {}, "Expected a token, because other machines can reach 0.0.0.0"),
        ((), {"TRIPTYCH_TOKEN": ""}, "got an empty text"),
        ((), {"TRIPTYCH_TOKEN": "two words"}, "got one with spaces"),
        (("--token-file", "missing"), {}, "expected a file with a token"),
        (("--host", "no.such.host.invalid"), {}, "cannot be found"),
        (("--index", "missing.index"), {}, "expected a search index"),
        (("--batch", "0"), {}, "0 is not in the range"),
    ],
)
def test_errors_are_reported_in_one_message(command, bundle, arguments, environment, message):
    printed = command("serve", bundle, *arguments, environment=environment).ends(2)

    assert message in printed
    assert "Traceback" not in printed


def test_a_port_that_is_taken_is_named(command, bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        printed = command("serve", bundle, "--port", taken.getsockname()[1]).ends(2)

    assert "Cannot listen at 127.0.0.1" in printed


def test_what_is_no_bundle_is_named(command, tmp_path):
    assert "expected a checkpoint" in command("serve", tmp_path).ends(2)


def test_limits_are_positive():
    with pytest.raises(ValueError, match="queue must be positive, but it is 0"):
        Limits(queue=0)
