import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from triptych.config import load_config
from triptych.config.combinations import flat_values
from triptych.config.schema import RunConfig
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.errors import TrainingError
from triptych.training.building import build_module
from triptych.training.checkpoints.loading import load_lightning_model
from triptych.training.hardware.machine import Hardware
from triptych.training.modules import TaskModule
from triptych.training.train import RunResult, _measure, train
from triptych.training.trainer import build_callbacks, build_trainer, closing_epochs

Config = Callable[..., RunConfig]

# Said where the trainer is used without `train`, which keeps such remarks away from people.
pytestmark = pytest.mark.filterwarnings("ignore:You called `self.log", "ignore:.*LeafSpec")

TERMS = ("loss", "triplet", "classification", "reconstruction", "kl")
SHORT = ("training.epochs=1", "logging.tensorboard=false")


def weights(result: RunResult) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(result.folders.last, weights_only=True)["state_dict"]
    return state


def same_weights(first: RunResult, second: RunResult) -> bool:
    one, other = weights(first), weights(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Finished:
    """A whole run, with everything switched on, and what it printed."""

    def __init__(self, config: RunConfig, output: Path) -> None:
        self.config, self.output, self.text = config, output, StringIO()
        self.asked_for_the_test_set = 0
        self.result = train(config, output=output, console=Console(file=self.text, width=80))
        self.folder = self.result.folders.version_folder


@pytest.fixture(scope="module")
def finished(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    measured: list[Split] = []

    def counted(module: TaskModule, config: RunConfig, split: Split, **options: int) -> dict[str, float]:
        measured.append(split)
        return _measure(module, config, split, **options)

    config = tiny_config(
        "training.epochs=4",
        "training.learning_rate=0.01",
        "logging.triplet_samples=true",
        "logging.embeddings=true",
        "logging.reconstruction_every=2",
        "training.scheduler.warmup_epochs=1",
    )

    def spoil(module: TaskModule) -> None:
        """Leave nothing of the last epoch's weights: what is tested must come from the best checkpoint."""
        for parameter in module.parameters():
            parameter.detach().zero_()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("triptych.training.train._measure", counted)
        patch.setattr(TaskModule, "on_train_end", spoil)
        run = Finished(config, tmp_path_factory.mktemp("run"))
    run.asked_for_the_test_set = sum(len(split) == 360 for split in measured)
    return run


# Output files


def test_the_config_in_the_version_folder_is_the_run(finished: Finished) -> None:
    assert load_config(finished.folder / "config.yaml") == finished.config


def test_metrics_json_has_the_promised_keys(finished: Finished) -> None:
    metrics = json.loads((finished.folder / "metrics.json").read_text())

    assert list(metrics) == ["test", "val", "best_checkpoint", "epochs", "train_seconds", "diagnoses", "environment"]
    assert list(metrics["test"]) == list(metrics["val"]) == ["accuracy", *TERMS, "mse"]
    assert metrics == finished.result.metrics
    assert metrics["best_checkpoint"] == str(finished.result.best_checkpoint)
    assert metrics["epochs"] == 4
    assert metrics["train_seconds"] > 0
    assert {"torch", "lightning", "python", "device", "precision"} <= metrics["environment"].keys()


@pytest.mark.parametrize("split", ["test", "val"])
def test_metrics_are_those_that_the_best_checkpoint_gives_by_hand(
    finished: Finished, digits: ImageData, split: str
) -> None:
    module = load_lightning_model(finished.output / "lightning_checkpoints" / "digits" / "best.ckpt")
    data = ImageDataModule(finished.config, digits)
    images = data.test if split == "test" else data.validation

    with torch.no_grad():
        output = module.model(images.images.float() / 255)
    right = (output.logits.argmax(1) == images.labels).float().mean()
    mean, log_variance = output.mean, output.log_variance

    expected = finished.result.metrics[split]
    assert float(right) == pytest.approx(expected["accuracy"], abs=1e-6)
    assert float(torch.nn.functional.cross_entropy(output.logits, images.labels)) == pytest.approx(
        expected["classification"], rel=1e-4
    )
    assert float((output.reconstruction - images.images.float() / 255).square().mean()) == pytest.approx(
        expected["reconstruction"], rel=1e-4
    )
    assert float(0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()) == pytest.approx(
        expected["kl"], rel=1e-4
    )
    assert expected["loss"] == pytest.approx(
        expected["triplet"] + expected["classification"] + expected["reconstruction"] + 1e-3 * expected["kl"], rel=1e-5
    )


def test_the_best_epoch_is_the_one_that_is_tested(finished: Finished) -> None:
    curve = [value for _, value in curves(finished)["val/accuracy"]]

    assert finished.result.metrics["val"]["accuracy"] == pytest.approx(max(curve), abs=1e-6)
    best = curve.index(max(curve))
    assert finished.result.best_checkpoint.name == f"epoch={best + 1:02d}-val_accuracy={max(curve):.4f}.ckpt"


def test_checkpoints_lie_where_they_are_promised(finished: Finished) -> None:
    folder = finished.output / "lightning_checkpoints" / "digits"

    assert finished.result.best_checkpoint.parent == folder
    assert (folder / "best.ckpt").resolve() == finished.result.best_checkpoint.resolve()
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 3


def test_pictures_lie_in_the_version_folder_and_in_the_output_root(finished: Finished) -> None:
    names = ["triplet_samples_digits.png", "embeddings_tsne.png"]

    assert [picture.name for picture in finished.result.pictures] == names
    for name in names:
        picture = Image.open(finished.folder / name)
        assert min(picture.size) > 300
        assert (finished.output / name).read_bytes() == (finished.folder / name).read_bytes()


def test_the_test_set_is_looked_at_once(finished: Finished) -> None:
    assert finished.asked_for_the_test_set == 1


# TensorBoard


def events(finished: Finished) -> list[EventAccumulator]:
    """Read the two files: of training, and of the test."""
    found = [
        EventAccumulator(str(path), size_guidance={"scalars": 0}) for path in sorted(finished.folder.glob("events*"))
    ]
    for accumulator in found:
        accumulator.Reload()
    return found


def curves(finished: Finished) -> dict[str, list[tuple[int, float]]]:
    training, _ = events(finished)
    return {tag: [(e.step, e.value) for e in training.Scalars(tag)] for tag in training.Tags()["scalars"]}


def test_tensorboard_has_every_curve(finished: Finished) -> None:
    found = curves(finished)

    for stage, points in (("train", 4 * 21 // 5), ("val", 4)):
        for name in ("accuracy", *TERMS):
            assert len(found[f"{stage}/{name}"]) == points, name
    # The validation of the best epoch, at the end, is no point of the curve.
    assert [step for step, _ in found["val/loss"]] == [20, 41, 62, 83]


def test_tensorboard_has_the_learning_rates_as_they_were_scheduled(finished: Finished) -> None:
    found = curves(finished)

    for group, highest in (("muon", 0.05), ("adamw", 0.01), ("adamw_undecayed", 0.01)):
        rates = dict(found[f"learning_rate/{group}"])
        assert rates[4] == pytest.approx(highest * 5 / 22)
        assert rates[19] == pytest.approx(highest * 20 / 22)
        assert rates[24] > rates[44] > rates[64] > rates[79] > 0


def test_tensorboard_has_the_test_and_the_hyper_parameters(finished: Finished) -> None:
    training, test = events(finished)

    assert {f"test/{name}" for name in ("accuracy", *TERMS)} <= set(test.Tags()["scalars"])
    start = training.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    for key in flat_values(finished.config.model_dump()):
        assert key.encode() in start, key


def test_tensorboard_has_reconstructions_every_so_many_epochs(finished: Finished) -> None:
    training, _ = events(finished)

    pictures = training.Images("reconstructions")
    assert [picture.step for picture in pictures] == [42, 84]
    assert pictures[0].encoded_image_string != pictures[1].encoded_image_string


# What it prints


def test_the_run_prints_its_plan_and_its_result(finished: Finished) -> None:
    printed = finished.text.getvalue()

    for part in ("1,293 training, 144 validation, 360 test", "MultiTaskImageTransformer", " parameters", "CPU"):
        assert part in printed
    for row in range(1, 5):
        assert f"\n  {row}/4  " in printed
    accuracy = finished.result.metrics["test"]["accuracy"]
    assert f"test accuracy  {accuracy:.4f}\n" in printed
    for path in (
        finished.result.best_checkpoint,
        finished.folder / "metrics.json",
        finished.output / "embeddings_tsne.png",
    ):
        assert f"  {path}\n" in printed
    assert max(len(line) for line in printed.splitlines() if str(finished.output) not in line) <= 80
    assert "…" not in printed


# Switches


def test_without_logging_and_pictures_nothing_but_results_is_left(tiny_config: Config, tmp_path: Path) -> None:
    result = train(tiny_config(*SHORT), output=tmp_path)

    left = {path.name for path in result.folders.version_folder.glob("[!.]*")}
    assert left == {"config.yaml", "metrics.json", "checkpoints.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"img_tasks", "lightning_checkpoints"}
    assert result.pictures == ()


def test_simple_mode_reports_its_two_terms(tiny_config: Config, tmp_path: Path) -> None:
    result = train(tiny_config("training.epochs=1", "training.use_multitask_loss=false"), output=tmp_path)

    test = result.metrics["test"]
    assert list(test) == ["accuracy", "loss", "triplet", "classification"]
    assert test["loss"] == pytest.approx(test["triplet"] + test["classification"], rel=1e-5)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("mining", ["random", "semihard"])
def test_bfloat16_trains_on_a_cpu(tiny_config: Config, tmp_path: Path, optimizer: str, mining: str) -> None:
    config = tiny_config(
        *SHORT,
        "training.precision=bf16-mixed",
        f"training.optimizer={optimizer}",
        f"training.triplet_mining={mining}",
        "dataset.batch_size=256",
    )

    result = train(config, output=tmp_path)

    assert all(value == value for value in result.metrics["test"].values())
    assert {weight.dtype for weight in weights(result).values() if weight.is_floating_point()} == {torch.float32}


STOPPING = ("training.early_stopping={patience: 2, min_delta: 0.9}", "logging.tensorboard=false")


@pytest.mark.parametrize("multitask", ["true", "false"])
def test_the_plain_vision_transformer_learns(tiny_config: Config, tmp_path: Path, multitask: str) -> None:
    config = tiny_config(
        *("model.patch_embedding=linear", "model.patch_size=2", "model.embed_dim=64", "model.latent_dim=16"),
        *("training.learning_rate=0.005", "training.muon_learning_rate=0.05", "training.averaged_share=0.3"),
        *(f"training.use_multitask_loss={multitask}", "logging.tensorboard=false", "training.epochs=12"),
        "dataset.augmentation={}",
    )

    result = train(config, output=tmp_path)

    assert result.metrics["test"]["accuracy"] > 0.6  # guessing gives 0.1


def test_early_stopping_ends_a_run_without_closing_epochs(tiny_config: Config, tmp_path: Path) -> None:
    text = StringIO()
    config = tiny_config("training.epochs=9", *STOPPING, "training.scheduler.name=none")

    result = train(config, output=tmp_path, console=Console(file=text, width=80))

    assert result.metrics["epochs"] == 3
    assert "stopped early after epoch 3: no better accuracy for 2 epochs" in text.getvalue()


def test_early_stopping_skips_to_the_closing_epochs_of_a_run(tiny_config: Config, tmp_path: Path) -> None:
    text = StringIO()
    closing = ("training.averaged_share=0.2", "dataset.unaugmented_share=0.1")
    config = tiny_config("training.epochs=20", *STOPPING, *closing)

    result = train(config, output=tmp_path, console=Console(file=text, width=80))

    assert "no better accuracy for 2 epochs: skipping to epoch 17" in " ".join(text.getvalue().split())
    firsts = [line.split()[0] for line in text.getvalue().splitlines() if line.strip()]
    rows = [first for first in firsts if first.endswith("/20")]
    assert rows == [f"{epoch}/20" for epoch in (1, 2, 3, 17, 18, 19, 20)]
    assert result.metrics["epochs"] == 7
    state = torch.load(result.folders.last, weights_only=True)
    assert state["averaged_steps"] == 4 * 21
    # The learning rate has reached the end of its schedule.
    assert all(rate == pytest.approx(0.0, abs=1e-9) for rate in state["lr_schedulers"][0]["_last_lr"])


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        (("training.scheduler.name=none",), 0),
        (("training.scheduler.name=LinearLR",), 2),
        (("training.scheduler={name: LinearLR, total_iters: 5}",), 0),
        (("training.scheduler.name=CosineAnnealingLR",), 2),
        (("training.averaged_share=0.3",), 6),
        (("dataset.unaugmented_share=0.21", "training.scheduler.name=none"), 5),
    ],
)
def test_closing_epochs_are_those_that_the_others_prepare(
    tiny_config: Config, changes: tuple[str, ...], epochs: int
) -> None:
    assert closing_epochs(tiny_config("training.epochs=20", *changes)) == epochs


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_run_that_needs_too_much_memory_ends_with_a_message(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(module: TaskModule, batch: object, batch_idx: int) -> None:
        raise error

    monkeypatch.setattr(TaskModule, "training_step", fail)

    with pytest.raises(TrainingError, match=r"dataset\.batch_size .*dataset\.image_size.*activation_checkpointing"):
        train(tiny_config(*SHORT), output=tmp_path)


def test_a_picture_that_cannot_be_drawn_does_not_end_the_run(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ValueError("120 classes are too many for 100 images")

    monkeypatch.setattr("triptych.training.train.draw_embeddings", fail)
    text = StringIO()

    config = tiny_config(*SHORT, "logging.embeddings=true")
    result = train(config, output=tmp_path, console=Console(file=text, width=80))

    assert "embeddings_tsne.png was not drawn: 120 classes are too many" in text.getvalue()
    assert result.pictures == ()
    assert result.metrics["test"]["accuracy"] >= 0


def test_without_early_stopping_every_epoch_is_trained(tiny_config: Config, tmp_path: Path) -> None:
    stopping = "training.early_stopping={enabled: false, patience: 1, min_delta: 0.9}"

    result = train(tiny_config("logging.tensorboard=false", stopping), output=tmp_path)

    assert result.metrics["epochs"] == 3


# Determinism


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tiny_config: Config, tmp_path: Path) -> None:
    noisy = (*SHORT, "model.dropout=0.2", "training.triplet_mining=random")
    first = train(tiny_config(*noisy), output=tmp_path / "first")
    torch.randn(5)
    second = train(tiny_config(*noisy), output=tmp_path / "second")
    other = train(tiny_config(*noisy, "training.seed=1"), output=tmp_path / "other")

    assert same_weights(first, second)
    assert first.metrics["test"] == second.metrics["test"]
    assert not same_weights(first, other)


def test_what_is_logged_and_drawn_does_not_change_the_weights(tiny_config: Config, tmp_path: Path) -> None:
    quiet = train(tiny_config(*SHORT), output=tmp_path / "quiet")
    shown = train(tiny_config("training.epochs=1", "logging.log_every_n_steps=1"), output=tmp_path / "shown")

    assert same_weights(quiet, shown)


# Gradients


def gradient_steps(config: RunConfig, digits: ImageData, tmp_path: Path) -> list[torch.Tensor]:
    """Train through Lightning with plain gradient steps, and return the weights."""
    data = ImageDataModule(config, digits)
    module = build_module(config, data)
    module.configure_optimizers = lambda: torch.optim.SGD(module.parameters(), lr=0.1)
    folders = train_folders(tmp_path)
    hardware = Hardware("cpu", 1, 1, "32-true")
    callbacks = build_callbacks(config, data, folders, Console(quiet=True), hardware)
    trainer = build_trainer(config, callbacks, hardware)
    trainer.fit(module, datamodule=data)
    return [parameter.detach() for parameter in module.parameters()]


def train_folders(output: Path) -> Any:
    from triptych.runs.folders import new_run

    return new_run(output, "digits")


def test_two_accumulated_batches_step_like_one_of_twice_the_size(
    tiny_config: Config, digits: ImageData, tmp_path: Path
) -> None:
    # 1,280 images, so that every batch is full; terms that are means over images alone, and no batch statistics.
    fewer = Split(digits.train.images[:1422], digits.train.labels[:1422])
    even = replace(digits, train=fewer)
    common = (
        *SHORT,
        "training.triplet_weight=0",
        "training.gradient_clip_norm=0",
        "dataset.augmentation={}",
        "model.patch_embedding=linear",
        "model.latent_dim=4",
    )
    accumulated = tiny_config(*common, "dataset.batch_size=32", "training.accumulate_gradients=2")
    whole = tiny_config(*common, "dataset.batch_size=64")
    assert len(ImageDataModule(whole, even).train.labels) == 1280

    one = gradient_steps(accumulated, even, tmp_path / "accumulated")
    other = gradient_steps(whole, even, tmp_path / "whole")

    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(one, other, strict=True))


def test_the_gradient_is_clipped_on_request(tiny_config: Config, digits: ImageData, tmp_path: Path) -> None:
    def moved(norm: float) -> float:
        config = tiny_config(*SHORT, f"training.gradient_clip_norm={norm}", "dataset.batch_size=1300")
        start = [p.detach().clone() for p in build_module(config, ImageDataModule(config, digits)).parameters()]
        end = gradient_steps(config, digits, tmp_path / str(norm))
        return float(torch.stack([(a - b).norm() for a, b in zip(start, end, strict=True)]).norm())

    assert moved(0.01) == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert moved(0) > 0.02


# Hardware that Lightning rejects


def test_a_rejection_of_lightning_is_reported_as_an_error(
    tiny_config: Config, digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(*SHORT)
    hardware = Hardware("cpu", 2, 1, "32-true")
    data = ImageDataModule(config, digits)
    callbacks = build_callbacks(config, data, train_folders(tmp_path), Console(quiet=True), hardware)
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "5", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(TrainingError, match=r"training\.accelerator, devices, num_nodes.*world size \(5\)"):
        build_trainer(config, callbacks, hardware)


def test_every_module_kind_is_chosen_by_the_config(tiny_config: Config, digits: ImageData) -> None:
    kinds: dict[str, type[TaskModule]] = {}
    for mode in ("true", "false"):
        config = tiny_config(f"training.use_multitask_loss={mode}")
        kinds[mode] = type(build_module(config, ImageDataModule(config, digits)))

    assert [kinds[mode].__name__ for mode in ("true", "false")] == [
        "MultiTaskImageTransformerLightning",
        "ImageTransformerLightning",
    ]
