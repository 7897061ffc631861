import pytest

from triptych.config.document import read_document
from triptych.inspection.suggestion.commented import Chosen, commented


def test_values_read_back_as_they_were_whatever_they_hold() -> None:
    odd = [
        "photos",
        "a: b",
        "# no comment",
        "yes",
        "010",
        "1e3",
        "null",
        "",
        " blank ",
        "naïve 写真",
        "a\nb",
        "'\"",
        "-",
    ]
    choices = {f"dataset.key{number}": Chosen(value, "why # not") for number, value in enumerate(odd)}
    choices |= {"dataset.size": Chosen([64, 88]), "dataset.share": Chosen(0.1), "dataset.on": Chosen(False)}

    read = read_document(commented(choices, head="Mine.")).values

    assert read == {"dataset": {path.removeprefix("dataset."): one.value for path, one in choices.items()}}


def test_sections_open_once_and_nest() -> None:
    text = commented(
        {
            "dataset.name": Chosen("folder"),
            "dataset.augmentation.rotation": Chosen(10, "degrees"),
            "training.epochs": Chosen(3),
            "training.scheduler.name": Chosen("LinearLR"),
        },
        head="One.\n\nTwo.",
    )

    assert text.splitlines() == [
        "# One.",
        "#",
        "# Two.",
        "",
        "dataset:",
        "  name: folder",
        "  augmentation:",
        "    rotation: 10              # degrees",
        "",
        "training:",
        "  epochs: 3",
        "  scheduler:",
        "    name: LinearLR",
    ]


@pytest.mark.parametrize("reason", ["line\nbreak", "bell\a", "line\u2028separator"])
def test_a_reason_stays_within_its_comment(reason: str) -> None:
    text = commented({"model.patch_size": Chosen(4, reason)}, head=reason)

    assert read_document(text).values == {"model": {"patch_size": 4}}
    assert text.isprintable() or set(text) - {"\n"} == {char for char in text if char.isprintable()}


def test_a_long_reason_stands_above_its_value() -> None:
    lines = commented({"model.patch_size": Chosen(4, "long " * 30)}, head="Mine.").splitlines()

    assert lines[-2].startswith("  # long long")
    assert lines[-1] == "  patch_size: 4"
