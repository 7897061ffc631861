import pytest
import torch

from triptych.config.schema import TrainingConfig
from triptych.errors import TrainingError
from triptych.training.hardware.machine import Hardware, calculates_in_bf16, resolve_hardware


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_NTASKS", "TORCHELASTIC_RUN_ID", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretend to be a machine of another kind."""

    def pretend(*, gpus: int = 0, mps: bool = False, bf16: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16 or including_emulation)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({}, ("cpu", 1, "32-true")),
        ({"mps": True}, ("mps", 1, "32-true")),
        ({"gpus": 1}, ("gpu", 1, "bf16-mixed")),
        ({"gpus": 4}, ("gpu", 4, "bf16-mixed")),
        ({"gpus": 1, "bf16": False}, ("gpu", 1, "32-true")),
    ],
)
def test_auto_is_the_best_that_the_machine_has(machine, there: dict, expected: tuple) -> None:
    machine(**there)

    hardware = resolve_hardware(TrainingConfig())

    assert (hardware.accelerator, hardware.devices, hardware.precision) == expected
    assert not hardware.compiled


@pytest.mark.parametrize(
    ("capabilities", "able"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "x86_64", "avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "arm64", "neon": True, "bf16": False}, False),
        ({"architecture": "arm64", "neon": True, "bf16": True}, True),
        ({"architecture": "ppc64le"}, False),
    ],
    ids=str,
)
def test_a_cpu_has_bf16_where_pytorch_names_its_instructions(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict, able: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    assert calculates_in_bf16("cpu") is able
    assert resolve_hardware(TrainingConfig(accelerator="cpu")).precision == "32-true"


@pytest.mark.parametrize("able", [True, False])
def test_an_older_pytorch_knows_the_instructions_of_x86(monkeypatch: pytest.MonkeyPatch, able: bool) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)

    assert calculates_in_bf16("cpu") is able


def test_explicit_choices_are_used(machine) -> None:
    machine(gpus=4)

    requested = TrainingConfig(accelerator="gpu", devices=2, num_nodes=3, precision="16-mixed")

    assert resolve_hardware(requested) == Hardware("gpu", 2, 3, "16-mixed")
    assert resolve_hardware(requested).processes == 6
    assert resolve_hardware(TrainingConfig(accelerator="cpu", precision="32-true")) == Hardware("cpu", 1, 1, "32-true")
    assert resolve_hardware(TrainingConfig(accelerator="cpu", devices=3, precision="bf16-mixed")).devices == 3


@pytest.mark.parametrize(
    ("there", "requested", "message"),
    [
        ({}, {"accelerator": "gpu"}, r"training\.accelerator: expected .* has \(cpu\), got 'gpu'.*auto"),
        ({"mps": True}, {"accelerator": "gpu"}, r"training\.accelerator: expected .*\(mps or cpu\), got 'gpu'"),
        ({"gpus": 1}, {"accelerator": "mps"}, r"training\.accelerator: expected .*\(gpu or cpu\), got 'mps'"),
        ({"gpus": 2}, {"devices": 4}, r"training\.devices: expected at most 2.*gpu; got 4.*auto"),
        ({"mps": True}, {"devices": 2}, r"training\.devices: expected at most 1.*mps; got 2"),
        ({}, {"precision": "16-mixed"}, r"training\.precision: expected bf16-mixed.*no GPU, got '16-mixed'.*auto"),
    ],
)
def test_hardware_that_is_not_there_is_reported_with_what_is(
    machine, there: dict, requested: dict, message: str
) -> None:
    machine(**there)

    with pytest.raises(TrainingError, match=message):
        resolve_hardware(TrainingConfig(**requested))


TORCHRUN = {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "3"}
SLURM = {"SLURM_NTASKS": "3", "SLURM_NTASKS_PER_NODE": "3", "SLURM_JOB_NAME": "job"}


@pytest.mark.parametrize("environment", [TORCHRUN, SLURM], ids=["torchrun", "slurm"])
def test_a_launcher_decides_the_number_of_processes(
    machine, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    machine()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert resolve_hardware(TrainingConfig()).devices == 3
    assert resolve_hardware(TrainingConfig(devices=3)).devices == 3
    with pytest.raises(TrainingError, match=r"training\.devices: expected 3, the processes that the launcher.*got 2"):
        resolve_hardware(TrainingConfig(devices=2))


@pytest.mark.parametrize(
    ("there", "requested", "description"),
    [
        ({"gpus": 1}, "gpu", "Some GPU"),
        ({"mps": True}, "mps", "Apple GPU (MPS)"),
        ({}, "cpu", "CPU, "),
    ],
)
def test_the_device_has_a_name_for_people(machine, there: dict, requested: str, description: str) -> None:
    machine(**there)

    assert resolve_hardware(TrainingConfig(accelerator=requested)).device.startswith(description)


@pytest.mark.parametrize(("threads", "text"), [(1, "CPU, 1 thread"), (8, "CPU, 8 threads")])
def test_threads_are_counted_in_plain_english(monkeypatch: pytest.MonkeyPatch, threads: int, text: str) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)

    assert Hardware("cpu", 1, 1, "32-true").device == text
