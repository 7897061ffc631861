"""How a command that was stopped is continued: the end of the messages about signals and full disks."""

from collections.abc import Sequence

from triptych.cli.search.index import index

REPEAT = "repeat the command"
"""What holds for verbs that write nothing before they have finished."""

CONTINUED = {
    "train": "resume with --resume",
    "embed": "repeat the command, which continues where it was",
    "index create": "if INDEX exists, add the other images by `triptych index add INDEX IMAGES`, otherwise repeat the "
    "command",
    "index add": "repeat the command, which replaces the images that are in the index already",
}
"""What a user does to continue, by verb."""


def how_to_continue(name: str | None, arguments: Sequence[str]) -> str:
    """Return what a user does to continue a command, as a part of a sentence.

    Args:
        name: The command that runs: "train" for `run.py`, or the group of all verbs.
        arguments: Those of the process.

    Example:
        >>> how_to_continue("train", []), how_to_continue("triptych", ["doctor", "run.yaml"])
        ('resume with --resume', 'repeat the command')
        >>> how_to_continue("triptych", ["index", "digits", "photos", "--out", "photos.index"])
        'if INDEX exists, add the other images by ...'
    """
    verb = name or ""
    if verb not in CONTINUED:
        verb = next(iter(arguments), "")
    if verb == "index":
        first = next(iter(arguments[1:]), "")
        verb = f"index {first if first in index.commands else 'create'}"
    return CONTINUED.get(verb, REPEAT)
