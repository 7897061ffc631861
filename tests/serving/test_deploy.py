"""The files in deploy/: they can be read, and every command in them is one that there is."""

import configparser
import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from triptych.cli.main import VERBS

DEPLOY = Path(__file__).parents[2] / "deploy"
CONTAINER = (DEPLOY / "Containerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
UNIT = configparser.RawConfigParser(strict=False)
UNIT.optionxform = str
UNIT.read_string((DEPLOY / "triptych.service").read_text())


def entry_point() -> list[str]:
    return yaml.safe_load(re.search(r"^ENTRYPOINT (\[.*\])$", CONTAINER, re.MULTILINE)[1])


COMMANDS = {
    "Containerfile": entry_point(),
    "compose, service": [*entry_point(), *COMPOSE["services"]["service"]["command"]],
    "compose, index": COMPOSE["services"]["index"]["entrypoint"],
    "systemd": shlex.split(UNIT["Service"]["ExecStart"]),
}


@pytest.mark.parametrize("place", COMMANDS)
def test_every_command_takes_these_arguments(place, monkeypatch):
    program, verb, *arguments = COMMANDS[place]
    assert Path(program).name == "triptych"
    called = {}
    command = VERBS[verb].commands["create"] if verb == "index" else VERBS[verb]
    monkeypatch.setattr(command, "callback", lambda **given: called.update(given))

    result = CliRunner().invoke(VERBS[verb], arguments)

    assert result.exit_code == 0, result.output
    assert called


def test_the_container_copies_what_it_installs():
    ignored = (DEPLOY.parent / ".dockerignore").read_text().splitlines()
    copied = [word for line in re.findall(r"^COPY (.*)$", CONTAINER, re.MULTILINE) for word in line.split()[:-1]]

    for name in copied:
        assert (DEPLOY.parent / name).exists(), name
        assert f"!{name}" in ignored
    (extras,) = re.findall(r"'\.\[(.*)\]'", CONTAINER)
    assert set(extras.split(",")) == {"serve", "postgres"}
    assert "USER nobody" in CONTAINER


def test_the_services_belong_together():
    services = COMPOSE["services"]
    assert set(services) == {"database", "index", "service"}
    for name in ("index", "service"):
        assert services[name]["build"] == {"context": "..", "dockerfile": "deploy/Containerfile"}
        assert "database" in services[name]["depends_on"]
    (url,) = (word for word in services["service"]["command"] if "://" in word)
    assert url in services["index"]["entrypoint"]
    assert url.partition("@")[2].startswith("database/")
    assert services["service"]["ports"] == ["127.0.0.1:8000:8000"]


def test_a_stopped_service_has_time_to_finish():
    from triptych.serving import Limits

    assert int(UNIT["Service"]["TimeoutStopSec"]) > Limits().seconds
    assert int(COMPOSE["services"]["service"]["stop_grace_period"].rstrip("s")) > Limits().seconds
