"""`precision: auto` takes what is clearly faster, says so, and leaves the run as it was."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData
from triptych.data.module import ImageDataModule
from triptych.training.hardware import probing
from triptych.training.hardware.machine import Hardware, Precision
from triptych.training.hardware.probing import settle_precision
from triptych.training.train import build_module, train

Config = Callable[..., RunConfig]

CPU = Hardware("cpu", 1, 1, "32-true", "bf16 was not timed")
GPU = Hardware("gpu", 1, 1, "bf16-mixed", "this GPU has bf16")
TIMED = "training.deterministic=false"


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the machine has bf16; where it emulates it, that is a slow machine."""
    monkeypatch.setattr(probing, "calculates_in_bf16", lambda accelerator: True)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[int, bool]]]:
    """Pretend that steps take some seconds; return a list that notes the images and the precision of each."""

    def take(*, whole: float, half: float) -> list[tuple[int, bool]]:
        taken: list[tuple[int, bool]] = []

        def step(module, batch, *, is_half: bool) -> float:
            taken.append((len(batch.label), is_half))
            # One in four is disturbed.
            return (half if is_half else whole) * (100 if len(taken) % 8 in (1, 2) else 1)

        monkeypatch.setattr(probing, "_step", step)
        return taken

    return take


def settled(config: RunConfig, digits: ImageData, hardware: Hardware, begun_with: Precision | None = None) -> Hardware:
    data = ImageDataModule(config, digits)
    return settle_precision(hardware, build_module(config, data), data, begun_with=begun_with)


@pytest.mark.parametrize(
    ("whole", "half", "precision", "reason"),
    [
        (0.3, 0.2, "bf16-mixed", "1.50 times as fast as float32"),
        (0.2, 0.19, "32-true", "bf16 is 1.05 times as fast, pays from 1.15 on"),
        (0.2, 0.4, "32-true", "bf16 is 0.50 times as fast, pays from 1.15 on"),
    ],
)
def test_bf16_is_taken_where_it_is_clearly_faster(
    tiny_config: Config, digits: ImageData, able, steps, whole: float, half: float, precision: str, reason: str
) -> None:
    taken = steps(whole=whole, half=half)

    found = settled(tiny_config(TIMED, "dataset.batch_size=100"), digits, CPU)

    assert found == replace(CPU, precision=precision, precision_reason=reason)
    # Both kinds in turns: twice on a few images, then once to warm up and several times on more.
    assert [is_half for _, is_half in taken] == [False, True] * (len(taken) // 2)
    assert [images for images, _ in taken] == [8] * 4 + [64] * (len(taken) - 4)
    assert len(taken) == 2 * (2 + 1 + 7)


def test_emulated_bf16_is_given_up_after_a_few_images(tiny_config: Config, digits: ImageData, able, steps) -> None:
    taken = steps(whole=0.1, half=0.8)

    found = settled(tiny_config(TIMED), digits, CPU)

    assert found.precision == "32-true"
    assert taken == [(8, False), (8, True)] * 2


@pytest.mark.parametrize(
    ("changes", "hardware", "reason"),
    [
        ((TIMED,), replace(CPU, devices=2), "bf16 was not timed; several processes must agree"),
        ((TIMED,), replace(GPU, num_nodes=2), "this GPU has bf16; several processes must agree"),
        ((), CPU, "bf16 was not timed; the run is deterministic"),
        ((TIMED,), replace(GPU, compiled=True), "this GPU has bf16; compiled steps have times of their own"),
        ((TIMED, "training.precision=bf16-mixed"), replace(CPU, precision_reason=""), ""),
    ],
)
def test_what_must_not_hang_on_times_goes_by_what_the_machine_can_do(
    tiny_config: Config, digits: ImageData, able, steps, changes: tuple[str, ...], hardware: Hardware, reason: str
) -> None:
    taken = steps(whole=1.0, half=0.1 if hardware.accelerator == "cpu" else 10.0)

    assert settled(tiny_config(*changes), digits, hardware) == replace(hardware, precision_reason=reason)
    assert not taken


def test_a_machine_without_bf16_times_nothing(
    tiny_config: Config, digits: ImageData, steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "calculates_in_bf16", lambda accelerator: False)
    taken = steps(whole=1.0, half=0.1)
    unable = replace(CPU, precision_reason="no bf16 on this CPU")

    assert settled(tiny_config(TIMED), digits, unable) == unable
    assert settled(tiny_config(TIMED), digits, unable, begun_with="bf16-mixed") == unable
    assert not taken


@pytest.mark.parametrize("begun_with", ["32-true", "bf16-mixed"])
def test_a_resumed_run_keeps_its_precision(
    tiny_config: Config, digits: ImageData, able, steps, begun_with: Precision
) -> None:
    taken = steps(whole=1.0, half=0.1 if begun_with == "32-true" else 2.0)

    found = settled(tiny_config(TIMED), digits, CPU, begun_with)

    assert found == replace(CPU, precision=begun_with, precision_reason="the run began with it")
    assert not taken


def test_a_batch_that_fits_only_in_bf16_is_trained_in_bf16(
    tiny_config: Config, digits: ImageData, able, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments, **options) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(probing, "_step", full)

    found = settled(tiny_config(TIMED), digits, CPU)

    assert (found.precision, found.precision_reason) == (
        "bf16-mixed",
        "a batch in float32 does not fit in the GPU's memory",
    )


@pytest.mark.parametrize(
    "changes",
    [
        ("training.kl_warmup_epochs=2", "model.dropout=0.1"),
        ("training.triplet_mining=random", "training.use_multitask_loss=false"),
    ],
)
def test_the_real_steps_leave_everything_as_it_was(
    tiny_config: Config, digits: ImageData, able, monkeypatch: pytest.MonkeyPatch, changes: tuple[str, ...]
) -> None:
    config = tiny_config(TIMED, *changes)
    data = ImageDataModule(config, digits)
    module = build_module(config, data)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    first = next(iter(data.train_dataloader())).anchor
    random = torch.get_rng_state()
    real, types = probing._step, []

    def watched(twin, batch, *, is_half: bool) -> float:
        seconds = real(twin, batch, is_half=is_half)
        types.append(twin.training and all(p.grad is not None for p in twin.model.parameters()))
        return seconds

    monkeypatch.setattr(probing, "_step", watched)

    found = settle_precision(CPU, module, data, begun_with=None)

    assert found.precision_reason != CPU.precision_reason
    assert len(types) >= 4
    assert all(types)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert module.config is config
    assert torch.equal(next(iter(data.train_dataloader())).anchor, first)


def test_the_same_seed_gives_the_same_weights_with_and_without_probing(
    tiny_config: Config, tmp_path: Path, able, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "WORTHWHILE", float("inf"))
    short = ("training.epochs=1", "logging.tensorboard=false", "model.dropout=0.1", "dataset.batch_size=256", TIMED)

    asked = train(tiny_config(*short, "training.precision=32-true"), output=tmp_path / "asked")
    probed = train(tiny_config(*short, "training.precision=auto"), output=tmp_path / "probed")

    assert "pays from inf on" in probed.metrics["environment"]["precision_reason"]
    assert asked.metrics["environment"]["precision_reason"] == ""
    one, other = (torch.load(run.folders.last, weights_only=True)["state_dict"] for run in (asked, probed))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
