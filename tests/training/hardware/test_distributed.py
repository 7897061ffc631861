import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from triptych.config.schema import RunConfig
from triptych.losses import BatchTripletLoss
from triptych.training.hardware.distributed import gather_rows, world_size
from triptych.training.train import train

ROOT = Path(__file__).parents[3]
SECONDS = 240


@pytest.fixture
def run_together() -> Iterator[Callable[..., str]]:
    """Run commands to their end as one group, expect their exit code, and let no process of the group outlive them."""
    groups: list[int] = []

    def run(
        *commands: list[str], environments: tuple[dict[str, str], ...] = ({},), code: int = 0, **options: Any
    ) -> str:
        processes = [
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment},
                start_new_session=True,
                **options,
            )
            for command, environment in zip(commands, environments * (len(commands) // len(environments)), strict=True)
        ]
        groups.extend(process.pid for process in processes)
        printed = [process.communicate(timeout=SECONDS)[0] for process in processes]
        assert {process.returncode for process in processes} == {code}, "\n".join(printed)
        for process in processes:
            assert has_ended(process.pid), printed
        return "".join(printed)

    yield run
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def has_ended(group: int, seconds: float = 10) -> bool:
    """Say whether a group of processes is empty; the kernel may take a moment."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


# The exchange itself: three processes on PyTorch alone, with shares of three lengths


WORKER = """
import os
import sys
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from triptych.data.batches.sampling import BalancedBatchSampler
from triptych.losses import BatchTripletLoss
from triptych.training.hardware.distributed import gather_rows, world_size

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group(
    "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=3, timeout=timedelta(seconds=60)
)
inputs, labels = torch.load(f"{folder}/batch.pt")
start, end = [(0, 4), (4, 5), (5, 11)][rank]


class Step(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
        self.unused = nn.Linear(5, 2)

    def forward(self, inputs, labels):
        embedding, logits = self.model(inputs), self.unused(inputs)
        pictures = inputs.reshape(-1, 1, 5, 1)
        self.gathered = gather_rows(embedding, labels, logits, pictures, labels.bool())
        embedding, labels, *_ = self.gathered
        loss = BatchTripletLoss(margin=1.0, mining="all")(embedding, labels) + embedding.square().mean()
        return loss * world_size()


step = Step()
parallel = DistributedDataParallel(step, find_unused_parameters=True)
parallel(inputs[start:end], labels[start:end]).backward()
sampler = BalancedBatchSampler(1293, batch_size=20, shuffle=True, rank=rank, world_size=3)
batches = [gather_rows(index)[0] for index in sampler]
torch.save(
    {
        "gathered": [each.detach() for each in step.gathered],
        "gradients": [parameter.grad for parameter in step.model.parameters()],
        "unused": [parameter.grad for parameter in step.unused.parameters()],
        "epoch": batches,
    },
    f"{folder}/{rank}.pt",
)
dist.destroy_process_group()
os._exit(0)  # torch's own threads abort some processes, now and then, while Python takes itself down
"""


def test_every_process_has_all_rows_and_the_gradient_of_the_whole_batch(
    tmp_path: Path, run_together: Callable[..., str]
) -> None:
    generator = torch.Generator().manual_seed(3)
    inputs, labels = torch.randn(11, 5, generator=generator), torch.arange(11) % 3
    torch.save((inputs, labels), tmp_path / "batch.pt")
    (tmp_path / "worker.py").write_text(WORKER)

    run_together(*([sys.executable, str(tmp_path / "worker.py"), str(rank), str(tmp_path)] for rank in range(3)))

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    embedding = model(inputs)
    (BatchTripletLoss(margin=1.0, mining="all")(embedding, labels) + embedding.square().mean()).backward()
    for rank in range(3):
        found = torch.load(tmp_path / f"{rank}.pt")
        rows, got_labels, logits, pictures, flags = found["gathered"]
        assert torch.allclose(rows, embedding, atol=1e-6)
        assert torch.equal(got_labels, labels)
        assert torch.equal(flags, labels.bool())
        assert (logits.shape, pictures.shape) == ((11, 2), (11, 1, 5, 1))
        assert torch.equal(pictures.flatten(1), inputs)
        for got, parameter in zip(found["gradients"], model.parameters(), strict=True):
            assert parameter.grad is not None
            assert torch.allclose(got, parameter.grad, atol=1e-6)
        # Rows that no loss uses have no gradient, not one of zeros: their weights are not decayed either.
        assert found["unused"] == [None, None]
        # Every image is seen once an epoch by all processes together, in whatever shares.
        assert len(found["epoch"]) == 22
        assert sorted(torch.cat(found["epoch"]).tolist()) == list(range(1293))


def test_a_single_process_keeps_its_tensors() -> None:
    tensors = (torch.ones(2, 3, requires_grad=True), torch.tensor([1, 2]))

    assert world_size() == 1
    assert all(got is given for got, given in zip(gather_rows(*tensors), tensors, strict=True))


# The whole command: two processes of half the batch against one, by three launchers. Semi-hard mining is left out,
# since a last digit can move a triplet over the edge of its band, which is a jump in the loss.


CHANGES = (
    "training.muon_learning_rate=0.01",  # at 0.05 a change of 1e-7 grows to 5e-4 within 15 steps of one process
    "training.epochs=1",
    "training.devices=auto",
    "logging.log_every_n_steps=1",
    "dataset.augmentation.rotation=9",
)


def free_port() -> str:
    with socket.socket() as chosen_by_the_system:
        chosen_by_the_system.bind(("127.0.0.1", 0))
        return str(chosen_by_the_system.getsockname()[1])


def slurm() -> tuple[dict[str, str], ...]:
    job = {
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_JOB_NAME": "test",
        "SLURM_JOB_ID": "1234",
        "SLURM_NODELIST": "localhost",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
    }
    return tuple({**job, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in range(2))


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Read every curve from TensorBoard's files, without the test's, which lie in a file of their own."""
    folder = run / "img_tasks" / "digits" / "experiment" / "version_0"
    events = EventAccumulator(str(min(folder.glob("events*"))), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def weights(run: Path) -> dict[str, torch.Tensor]:
    path = run / "lightning_checkpoints" / "digits" / "last.ckpt"
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def metrics(run: Path) -> dict[str, Any]:
    path = run / "img_tasks" / "digits" / "experiment" / "version_0" / "metrics.json"
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def assert_same_training(one: Path, two: Path, *, terms: set[str], steps: int) -> None:
    expected, got = curves(one), curves(two)
    assert expected.keys() == got.keys()
    assert {f"{stage}/{term}" for stage in ("train", "val") for term in terms} <= got.keys()
    for tag, points in expected.items():
        assert [step for step, _ in points] == [step for step, _ in got[tag]], tag
        values, others = [value for _, value in points], [value for _, value in got[tag]]
        if tag.endswith("accuracy"):  # of 61 images or more: one at a tie may fall to either side
            assert others == pytest.approx(values, abs=1 / 60), tag
            continue
        # Rounding differs in the last digits; a triplet at the edge of the margin counts in one run only.
        assert others == pytest.approx(values, rel=2e-4), tag
    # 1,293 images in batches of 64: 21 of 61 or 62, which two processes cannot always halve.
    assert len(got["train/loss"]) == steps
    for name, weight in weights(one).items():
        assert torch.allclose(weights(two)[name], weight, atol=1e-4), name
    first, second = metrics(one), metrics(two)
    for split in ("test", "val"):
        assert second[split].pop("accuracy") == pytest.approx(first[split].pop("accuracy"), abs=1 / 60)
        assert second[split] == pytest.approx(first[split], rel=2e-4)
    assert second["environment"]["processes"] == 2


def assert_written_by_one_process(run: Path, printed: str) -> None:
    assert [path.name for path in (run / "img_tasks" / "digits" / "experiment").iterdir()] == ["version_0"]
    checkpoints = sorted(path.name for path in (run / "lightning_checkpoints" / "digits").glob("[!.]*"))
    (best,) = (name for name in checkpoints if name.startswith("epoch=01-val_accuracy="))
    assert checkpoints == ["best.ckpt", best, "last.ckpt", "version_0-last.ckpt"]
    for once in ("2 processes", "validation\n", "  1/1", "test accuracy"):
        assert printed.count(once) == 1, printed
    assert "Warning" not in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("launcher", "changes", "terms"),
    [
        (
            "lightning",
            (
                *("training.devices=2", "training.strategy=ddp", "training.triplet_mining=all"),
                # The average's statistics of batch normalisation are those of both processes, too.
                "training.averaged_share=0.5",
            ),
            {"triplet", "classification", "reconstruction"},
        ),
        ("torchrun", ("training.triplet_mining=random", "training.reconstruction_weight=0"), {"triplet", "kl"}),
        (
            "slurm",
            ("training.use_multitask_loss=false", "training.triplet_mining=hard", "training.accumulate_gradients=2"),
            {"triplet"},
        ),
    ],
    ids=["lightning-mined", "torchrun-random-zero-weight", "slurm-simple-accumulated"],
)
def test_two_processes_train_like_one_with_twice_the_batch(
    tmp_path: Path,
    tiny_yaml: Path,
    tiny_config: Callable[..., RunConfig],
    run_together: Callable[..., str],
    launcher: str,
    changes: tuple[str, ...],
    terms: set[str],
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    settings = (*CHANGES, *changes)
    arguments = ["run.py", "--config", str(tiny_yaml), "--output", str(two)]
    for change in (*settings, "dataset.batch_size=32"):
        arguments += ["--set", change]

    match launcher:
        case "lightning":
            printed = run_together([sys.executable, *arguments])
        case "torchrun":
            torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
            printed = run_together([*torchrun, *arguments])
        case _:
            printed = run_together(*[[sys.executable, *arguments]] * 2, environments=slurm())
    train(tiny_config(*settings, "dataset.batch_size=64", "training.devices=1", "training.strategy=auto"), output=one)

    assert_same_training(one, two, terms=terms, steps=11 if launcher == "slurm" else 21)
    assert_written_by_one_process(two, printed)


# What goes wrong, goes wrong once


def invalid(run_together: Callable[..., str], tiny_yaml: Path, *arguments: str, **options: Any) -> str:
    """Run the command with two processes, expect the exit code of a user's error, and return what it printed."""
    command = [sys.executable, "run.py", "--config", str(tiny_yaml), "--output", str(tiny_yaml.parent)]
    return run_together([*command, "--set", "training.devices=2", *arguments], code=2, **options)


def test_an_error_in_the_config_is_reported_before_anything_starts(
    tiny_yaml: Path, run_together: Callable[..., str]
) -> None:
    printed = invalid(run_together, tiny_yaml, "--set", "model.num_heads=3")

    assert printed.count("not divisible") == 1
    assert "Traceback" not in printed


def test_a_damaged_data_file_is_reported_once(
    tmp_path: Path, tiny_yaml: Path, run_together: Callable[..., str]
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"damaged")

    printed = invalid(run_together, tiny_yaml, "--set", "dataset.name=mnist", "--set", f"dataset.root={tmp_path}")

    assert len(printed.strip().splitlines()) == 1, printed
    assert "MNIST" in printed
    assert not (tmp_path / "img_tasks").exists()


def test_a_disk_that_fills_up_under_the_writing_process_ends_both(
    tiny_yaml: Path, run_together: Callable[..., str]
) -> None:
    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    printed = invalid(run_together, tiny_yaml, "--set", "logging.tensorboard=false", preexec_fn=small_disk)

    assert printed.count("the disk is full") == 1, printed
    assert "Traceback" not in printed
