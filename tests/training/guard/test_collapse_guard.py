"""The guard in real runs on the digits: what it names, where it reports it, and that it changes nothing else."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils._python_dispatch import TorchDispatchMode

from triptych.config.schema import RunConfig
from triptych.data.builder import OpenedImages
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.training.building import build_module
from triptych.training.checkpoints.resuming import resumption
from triptych.training.guard import collapse_guard
from triptych.training.guard.collapse_guard import CollapseGuard
from triptych.training.train import RunResult, train
from triptych.training.trainer import task_of

Config = Callable[..., RunConfig]

SIMPLE = "training.use_multitask_loss=false"
TO_A_POINT = (
    SIMPLE,
    "training.triplet_mining=hard",
    "training.classifier_weight=0",
    "training.learning_rate=0.1",
    "training.muon_learning_rate=0.1",
)
TO_THE_PRIOR = ("training.kl_weight=100", "training.learning_rate=0.02", "model.principal_components=0")
UNSEEN = "logging.tensorboard=false"
SIGNS = {"triplet_of_margin", "active_fraction", "without_triplets", "spread", "effective_rank", "separation"}
LATENT = {"kl_per_dimension", "active_units"}
SHARES = {f"gradient_share_{term}" for term in ("triplet", "classification", "reconstruction", "kl")}


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def names(result: RunResult) -> list[tuple[str, int, int]]:
    return [(one["name"], one["epoch"], one["last_epoch"]) for one in result.metrics["diagnoses"]]


def events(result: RunResult) -> EventAccumulator:
    """Read the file of training, the older one."""
    found = EventAccumulator(str(min(result.folders.version_folder.glob("events*"))), size_guidance={"scalars": 0})
    found.Reload()
    return found


def weights(result: RunResult) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(result.folders.last, weights_only=True)["state_dict"]
    return state


class Run:
    """A run on a terminal, and what was shown there."""

    def __init__(self, config: RunConfig, output: Path) -> None:
        self.config, self.output, self.text = config, output, StringIO()
        self.result = train(config, output=output, console=Console(file=self.text, force_terminal=True, width=80))
        self.shown = plain(self.text.getvalue())


@pytest.fixture(scope="module")
def collapsed(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs to a point."""
    return Run(tiny_config(*TO_A_POINT, "training.epochs=2"), tmp_path_factory.mktemp("collapsed"))


@pytest.fixture(scope="module")
def healthy(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tiny_config("training.epochs=2"), tmp_path_factory.mktemp("healthy"))


# What it names


def test_a_collapse_of_the_embeddings_is_named_within_an_epoch(collapsed: Run) -> None:
    assert names(collapsed.result) == [("point_collapse", 1, 2)]


def test_a_collapse_under_the_soft_margin_is_named_within_an_epoch(tiny_config: Config, tmp_path: Path) -> None:
    result = train(tiny_config(*TO_A_POINT, "training.margin=null", "training.epochs=1", UNSEEN), output=tmp_path)

    assert names(result) == [("point_collapse", 1, 1)]
    (found,) = result.metrics["diagnoses"]
    assert "ln 2" in found["what"]
    assert found["values"]["triplet_of_margin"] == pytest.approx(1, abs=0.05)


def test_a_collapse_of_the_posterior_is_named_within_an_epoch(tiny_config: Config, tmp_path: Path) -> None:
    result = train(tiny_config(*TO_THE_PRIOR, "training.epochs=1", UNSEEN), output=tmp_path)

    (found,) = result.metrics["diagnoses"]
    assert (found["name"], found["epoch"]) == ("posterior_collapse", 1)
    assert "posterior has collapsed to the prior" in found["what"]
    assert "kl_weight (now 100)" in found["what"]
    assert found["values"]["active_units"] == 0
    assert found["values"]["gradient_share_kl"] > 0.9


def test_a_healthy_run_has_an_empty_list(healthy: Run) -> None:
    assert healthy.result.metrics["diagnoses"] == []
    assert "collapse" not in healthy.shown


# Where it says so


def test_a_diagnosis_is_printed_once_in_one_line_below_its_epoch(collapsed: Run) -> None:
    (found,) = collapsed.result.metrics["diagnoses"]
    lines = [line.strip() for line in collapsed.shown.splitlines()]

    (said,) = (number for number, line in enumerate(lines) if line == f"collapse  {found['what']}")
    (first,) = (number for number, line in enumerate(lines) if re.match(r"1/2 +0\.", line))
    (second,) = (number for number, line in enumerate(lines) if re.match(r"2/2 +0\.", line))
    assert first < said < second
    assert "diagnosis  point collapse in epochs 1 to 2" in collapsed.shown
    # The bar is drawn anew below it, and cleared in the end.
    assert any("left" in line and "━" in line for line in lines[said + 1 :])
    drawn = collapsed.text.getvalue()
    assert "left" not in plain(drawn[drawn.rindex("\x1b[2K") :])


def test_metrics_json_has_epoch_diagnosis_and_values(collapsed: Run) -> None:
    metrics = json.loads((collapsed.result.folders.version_folder / "metrics.json").read_text())

    (found,) = metrics["diagnoses"]
    assert list(found) == ["epoch", "last_epoch", "name", "what", "values"]
    assert set(found["values"]) == SIGNS | {"gradient_share_triplet"}
    assert found["values"]["spread"] < 0.01
    assert found["values"]["triplet_of_margin"] == pytest.approx(1, abs=0.05)
    assert found["values"]["active_fraction"] == 1


def test_tensorboard_has_every_sign_of_every_epoch_and_the_diagnosis_as_text(collapsed: Run, healthy: Run) -> None:
    found = events(healthy.result)
    tags = {tag.removeprefix("guard/") for tag in found.Tags()["scalars"] if tag.startswith("guard/")}
    assert tags == SIGNS | LATENT | SHARES
    for tag in tags:
        assert [event.step for event in found.Scalars(f"guard/{tag}")] == [20, 41], tag
    shares = [[event.value for event in found.Scalars(f"guard/{tag}")] for tag in SHARES]
    assert [sum(of_epoch) for of_epoch in zip(*shares, strict=True)] == pytest.approx([1, 1])
    assert not any("diagnosis" in tag for tag in found.Tags()["tensors"])

    (text,) = events(collapsed.result).Tensors("guard/diagnosis/text_summary")
    (diagnosis,) = collapsed.result.metrics["diagnoses"]
    assert text.tensor_proto.string_val[0].decode() == f"epoch 1: {diagnosis['what']}"


# What a collapse does to the run


def test_a_run_that_stops_on_collapse_is_saved_tested_and_stays_stopped(tiny_config: Config, tmp_path: Path) -> None:
    config = tiny_config(*TO_A_POINT, "training.on_collapse=stop", "training.epochs=5", UNSEEN)
    run = Run(config, tmp_path)

    assert run.result.metrics["epochs"] == 1
    assert run.result.metrics["test"].keys() >= {"accuracy", "triplet"}
    assert "stopped after epoch 1: training.on_collapse is stop" in run.shown
    assert run.result.best_checkpoint.is_file()
    assert torch.load(run.result.folders.last, weights_only=True)["callbacks"]["CollapseGuard"]["stopped"]

    again = train(config, output=tmp_path, resume=resumption(config, output=tmp_path, path=None))
    assert again.metrics["epochs"] == 1
    assert again.metrics["diagnoses"] == run.result.metrics["diagnoses"]
    assert all(torch.equal(weight, weights(again)[name]) for name, weight in weights(run.result).items())


def test_a_run_that_stopped_on_collapse_continues_where_that_is_a_warning_now(
    tiny_config: Config, tmp_path: Path
) -> None:
    changes = (*TO_A_POINT, "training.epochs=3", UNSEEN)
    stopped = Run(tiny_config(*changes, "training.on_collapse=stop"), tmp_path)
    assert stopped.result.metrics["epochs"] == 1

    config = tiny_config(*changes, "training.on_collapse=warn")
    again = train(config, output=tmp_path, resume=resumption(config, output=tmp_path, path=None))

    assert again.metrics["epochs"] == 3


def test_labels_without_any_relation_to_the_images_are_reported(
    tiny_config: Config, digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)

    def shuffled(split: Split) -> Split:
        return replace(split, labels=split.labels[torch.randperm(len(split), generator=generator)])

    images = replace(digits, train=shuffled(digits.train), test=shuffled(digits.test))
    monkeypatch.setattr("triptych.training.train.open_images", lambda config: (config, images))

    run = Run(tiny_config("training.epochs=13", "logging.tensorboard=false"), tmp_path)

    assert "at_chance" in {diagnosis["name"] for diagnosis in run.result.metrics["diagnoses"]}


def test_batches_too_small_for_triplets_are_named_and_no_reason_to_stop(
    tiny_config: Config, digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(
        digits,
        train=Split(digits.train.images[:150], digits.train.labels[:150]),
        test=Split(digits.test.images[:30], digits.test.labels[:30]),
    )
    monkeypatch.setattr("triptych.training.train.open_images", lambda config: OpenedImages(config, few))
    config = tiny_config(SIMPLE, "dataset.batch_size=3", "training.on_collapse=stop", "training.epochs=2", UNSEEN)

    result = train(config, output=tmp_path)

    assert result.metrics["epochs"] == 2
    assert names(result) == [("no_triplets", 1, 2)]
    without = result.metrics["diagnoses"][0]["values"]["without_triplets"]
    assert 0.55 < without < 0.9  # 0.73 for three of ten classes that are equally many


def test_several_processes_stop_together_and_print_it_once(finish: Callable[..., str], tmp_path: Path) -> None:
    changes = ("training.devices=2", "training.strategy=ddp", "training.on_collapse=stop", "dataset.batch_size=32")
    settings = [("--set", change) for change in (*TO_A_POINT, *changes, UNSEEN)]

    printed = finish(*(part for setting in settings for part in setting))

    metrics = json.loads((tmp_path / "img_tasks/digits/experiment/version_0/metrics.json").read_text())
    assert metrics["epochs"] == 1
    assert [found["name"] for found in metrics["diagnoses"]] == ["point_collapse"]
    assert printed.count(metrics["diagnoses"][0]["what"]) == 1
    assert printed.count("stopped after epoch 1") == 1


def test_a_guard_that_is_switched_off_watches_nothing(tiny_config: Config, tmp_path: Path) -> None:
    run = Run(tiny_config(*TO_A_POINT, "training.on_collapse=ignore", "training.epochs=1"), tmp_path)

    assert run.result.metrics["diagnoses"] == []
    assert "collapse" not in run.shown
    assert not any(tag.startswith("guard/") for tag in events(run.result).Tags()["scalars"])


# That it changes nothing else


@pytest.mark.parametrize(
    "changes",
    [
        ("training.accumulate_gradients=2", "model.dropout=0.2"),
        (SIMPLE, "training.triplet_mining=random", "training.classifier_weight=0"),
        ("training.precision=bf16-mixed", "training.reconstruction_weight=0", "training.kl_warmup_epochs=1"),
        (
            "training.triplet_weight=0",
            "training.early_stopping.enabled=false",
            "training.margin=null",
            "training.triplet_mining=all",
        ),
    ],
    ids=["accumulated-dropout", "simple-random-triplets-alone", "bfloat16-warmup", "soft-without-triplets"],
)
def test_the_weights_are_the_same_bit_for_bit_with_and_without_it(
    tiny_config: Config, tmp_path: Path, changes: tuple[str, ...]
) -> None:
    changes = (*changes, "training.epochs=1", "dataset.batch_size=64", UNSEEN)
    watched = train(tiny_config(*changes), output=tmp_path / "watched")
    alone = train(tiny_config(*changes, "training.on_collapse=ignore"), output=tmp_path / "alone")

    first, second = weights(watched), weights(alone)
    assert first.keys() == second.keys()
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())
    assert watched.metrics["test"] == alone.metrics["test"]
    assert watched.metrics["diagnoses"] == []


def test_a_run_resumed_within_an_epoch_finds_what_an_uninterrupted_one_finds(
    command: Callable, quick_yaml: Path, tmp_path: Path
) -> None:
    interrupt = """
import os, signal
from triptych.training.modules import TaskModule
plain, signals = TaskModule.training_step, [signal.SIGTERM]
def training_step(self, batch, batch_idx):
    while self.global_step == 8 and signals:
        os.kill(os.getpid(), signals.pop())
    return plain(self, batch, batch_idx)
TaskModule.training_step = training_step
"""
    settings = [("--set", change) for change in (*TO_A_POINT, "training.triplet_mining=all")]
    start = ("train", "--config", quick_yaml, *(part for setting in settings for part in setting), "--output")

    def state(output: Path) -> Any:
        last = torch.load(output / "lightning_checkpoints" / "digits" / "last.ckpt", weights_only=True)
        return last["callbacks"]["CollapseGuard"]

    def signs(output: Path) -> dict[str, list[float]]:
        """Read the signs of both epochs from the files of every start."""
        found: dict[str, list[float]] = {}
        for path in sorted((output / "img_tasks/digits/experiment/version_0").glob("events*")):
            file = EventAccumulator(str(path), size_guidance={"scalars": 0})
            file.Reload()
            for tag in (tag for tag in file.Tags()["scalars"] if tag.startswith("guard/")):
                found.setdefault(tag, []).extend(event.value for event in file.Scalars(tag))
        return found

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    command(*start, whole).ends(0)
    command(*start, stopped, before=interrupt).ends(143)
    assert state(stopped)["sums"][0] == 3
    command(*start, stopped, "--resume").ends(0)

    assert signs(whole) == signs(stopped)
    assert 0.05 < signs(whole)["guard/active_fraction"][1] < 0.95  # not the same for each of its halves
    assert state(whole) == state(stopped)


# Inspected images


def test_a_bounded_number_of_images_is_looked_at_evenly(
    tiny_config: Config, digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("dataset.batch_size=16")
    data = ImageDataModule(config, digits)
    module = build_module(config, data).eval()
    module.trainer = trainer = SimpleNamespace(num_val_batches=[len(data.val_dataloader())])
    monkeypatch.setattr(collapse_guard, "ROWS", 40)
    guard = CollapseGuard(task_of(config, data), Console(quiet=True), stops=False)

    labels, embeddings = [], []
    for batch in data.val_dataloader():
        with torch.no_grad():
            module.result = module.measure(batch)
        labels.append(module.result.label)
        embeddings.append(module.result.embedding)
        guard.on_validation_batch_end(trainer, module, None, None, 0)

    kept, kept_labels, mean, log_variance = (torch.cat(parts) for parts in zip(*guard._epoch.rows, strict=True))
    assert torch.equal(kept_labels, torch.cat(labels)[::4])  # 144 images
    assert torch.equal(kept, torch.cat(embeddings)[::4])
    assert mean.shape == log_variance.shape == (36, 4)


@pytest.mark.usefixtures("as_on_a_gpu")
def test_nothing_is_read_from_the_device_while_the_epoch_runs(tiny_config: Config, digits: ImageData) -> None:
    class NoReading(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            assert not any(name in str(func) for name in ("_local_scalar_dense", "nonzero", "is_nonzero")), func
            return func(*args, **(kwargs or {}))

    config = tiny_config()
    data = ImageDataModule(config, digits)
    module, batch = build_module(config, data).train(), next(iter(data.train_dataloader()))
    trainer = SimpleNamespace(current_epoch=0, global_rank=0, is_last_batch=True, num_val_batches=[3])
    module.trainer = trainer
    guard = CollapseGuard(task_of(config, data), Console(quiet=True), stops=False)

    with NoReading():
        module.result = module.measure(batch)
        guard.on_before_backward(trainer, module, module.result.losses.total)
        guard.on_train_batch_end(trainer, module, None, None, 0)
        guard.on_validation_batch_end(trainer, module, None, None, 0)
    assert guard._epoch.squares.shape == (4,)
    with pytest.raises(AssertionError), NoReading():
        float(guard._epoch.squares[0])
