"""The size of a config's model, part by part."""

import pytest

from triptych.config import load_config
from triptych.models.builder import build_model


@pytest.mark.parametrize("multitask", ["true", "false"])
def test_the_table_adds_up_to_the_model(command, quick_yaml, multitask):
    override = f"training.use_multitask_loss={multitask}"
    printed = command("describe", quick_yaml, "--set", override).ends(0)
    model = build_model(load_config(quick_yaml, [override]), num_classes=10, pixel_mean=0.0, pixel_std=1.0)
    parameters = sum(parameter.numel() for parameter in model.parameters())

    lines = printed.splitlines()
    assert lines[0] == f"{type(model).__name__} for 8x8x1 images of digits"
    rows = {line[:20].strip(): line[20:].split() for line in lines[3:]}
    assert int(rows["total"][0].replace(",", "")) == parameters
    assert sum(int(cells[0].replace(",", "")) for name, cells in rows.items() if name != "total") == parameters
    assert ("decoder" in rows) == (multitask == "true")
    assert all(len(line) <= 80 for line in lines)


def test_an_image_with_padding_is_described_as_the_model_sees_it(command, quick_yaml):
    printed = command("describe", "--config", quick_yaml, "--set", "dataset.pad=2").ends(0)
    assert "for 12x12x1 images" in printed
