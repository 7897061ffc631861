"""`precision: auto` depends on hardware and model alone, and gives its reason."""

from collections.abc import Callable

import pytest

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData
from triptych.data.module import ImageDataModule
from triptych.training.building import build_module
from triptych.training.hardware import precision as file
from triptych.training.hardware.machine import Hardware
from triptych.training.hardware.precision import choose_precision

Config = Callable[..., RunConfig]

CPU = Hardware("cpu", 1, 1, "32-true")
GPU = Hardware("gpu", 1, 1, "bf16-mixed", "this GPU has bf16")


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Pretend that the machine has bf16, or has not."""
    return lambda has: monkeypatch.setattr(file, "calculates_in_bf16", lambda accelerator: has)


def completed(config: RunConfig, digits: ImageData, hardware: Hardware, begun_with=None) -> Hardware:
    model = build_module(config, ImageDataModule(config, digits)).model
    return choose_precision(hardware, config.training, model, begun_with=begun_with)


@pytest.mark.parametrize(("has", "enough", "expected"), [
    (True, 1e3, "bf16-mixed"),
    (True, 1e9, "32-true"),
    (False, 1e3, "32-true"),
])  # fmt: skip
def test_a_cpu_with_bf16_uses_it_for_models_with_enough_to_compute(
    able, tiny_config: Config, digits: ImageData, monkeypatch: pytest.MonkeyPatch, has: bool, enough: float,
    expected: str,
) -> None:  # fmt: skip
    able(has)
    monkeypatch.setattr(file, "ENOUGH_FLOPS", enough)

    found = [completed(tiny_config(), digits, CPU) for _ in range(2)]

    assert found[0] == found[1]
    assert found[0].precision == expected
    assert "MFLOPs an image" in found[0].precision_reason or not has


def test_a_gpu_keeps_what_the_hardware_allows(able, tiny_config: Config, digits: ImageData) -> None:
    able(True)
    assert completed(tiny_config(), digits, GPU) == GPU


def test_a_precision_of_the_config_is_kept(able, tiny_config: Config, digits: ImageData) -> None:
    able(True)
    assert completed(tiny_config("training.precision=32-true"), digits, CPU) == CPU


@pytest.mark.parametrize(("begun", "has", "expected"), [
    ("bf16-mixed", True, "bf16-mixed"), ("32-true", True, "32-true"), ("bf16-mixed", False, "32-true"),
])  # fmt: skip
def test_a_resumed_run_keeps_its_precision_where_the_machine_can(
    able, tiny_config: Config, digits: ImageData, begun: str, has: bool, expected: str
) -> None:
    able(has)
    assert completed(tiny_config(), digits, CPU, begun_with=begun).precision == expected
