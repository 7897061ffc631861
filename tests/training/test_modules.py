from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from triptych.config.schema import RunConfig
from triptych.data.batches.loader import Batch
from triptych.data.images import ImageData
from triptych.data.module import ImageDataModule
from triptych.training.building import assemble, build_module
from triptych.training.modules import (
    ImageTransformerLightning,
    MultiTaskImageTransformerLightning,
    TaskModule,
    views,
)
from triptych.training.optimisation.muon import MuonAdamW
from triptych.training.optimisation.optimizers import build_optimizer

Prepare = Callable[..., tuple[TaskModule, Batch]]

pytestmark = pytest.mark.filterwarnings("ignore:You are trying to `self.log")

SIMPLE = "training.use_multitask_loss=false"
RANDOM = "training.triplet_mining=random"
WEIGHTS = (
    "training.triplet_weight=0.7",
    "training.classification_weight=1.3",
    "training.reconstruction_weight=2.5",
    "training.kl_weight=0.03",
    "training.classifier_weight=0.4",
)


@pytest.fixture(scope="module")
def prepare(tiny_config: Callable[..., RunConfig], digits: ImageData) -> Prepare:
    """Build a training module and its first training batch, with changes to the tiny config."""

    def build(*changes: str) -> tuple[TaskModule, Batch]:
        data = ImageDataModule(tiny_config(*changes), digits)
        return build_module(data.config, data).train(), next(iter(data.train_dataloader()))

    return build


def gradients(module: nn.Module) -> dict[str, Tensor | None]:
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def no_gradient(module: nn.Module) -> bool:
    return all(gradient is None or not gradient.any() for gradient in gradients(module).values())


def attach(module: TaskModule, **attributes: object) -> SimpleNamespace:
    """Give the module a trainer with the values of the test; the caller keeps it alive."""
    trainer = SimpleNamespace(current_epoch=0, global_rank=0, **attributes)
    module.trainer = trainer
    return trainer


# The loss


@pytest.mark.parametrize("mining", ["random", "semihard", "all", "hard"])
def test_the_total_of_the_multi_task_mode_is_the_weighted_sum(prepare: Prepare, mining: str) -> None:
    module, batch = prepare(*WEIGHTS, f"training.triplet_mining={mining}")

    module.training_step(batch, 0)

    logged = {name: float(value) for name, value in module.latest.items()}
    expected = (
        0.7 * logged["triplet"] + 1.3 * logged["classification"] + 2.5 * logged["reconstruction"] + 0.03 * logged["kl"]
    )
    assert logged["loss"] == pytest.approx(expected, abs=1e-6)
    assert list(logged) == ["accuracy", "loss", "triplet", "classification", "reconstruction", "kl"]


@pytest.mark.parametrize("mining", ["random", "semihard", "all", "hard"])
def test_the_total_of_the_simple_mode_is_triplet_plus_weighted_classification(prepare: Prepare, mining: str) -> None:
    module, batch = prepare(SIMPLE, *WEIGHTS, f"training.triplet_mining={mining}")

    module.training_step(batch, 0)

    logged = {name: float(value) for name, value in module.latest.items()}
    assert logged["loss"] == pytest.approx(logged["triplet"] + 0.4 * logged["classification"], abs=1e-6)
    assert list(logged) == ["accuracy", "loss", "triplet", "classification"]


def test_drawn_triplets_serve_the_triplet_loss_and_anchors_the_other_terms(prepare: Prepare) -> None:
    module, batch = prepare(RANDOM)
    assert isinstance(module, MultiTaskImageTransformerLightning)
    size = len(batch.label)
    names = ("anchor", "positive", "negative")
    noise = torch.cat([module.draws(batch).fork(name).normal("latent", module.model.latent_dim) for name in names])
    output = module.model(views(batch), noise)
    anchor, positive, negative = output.embedding.split(size)

    module.training_step(batch, 0)

    expected = {
        "triplet": nn.TripletMarginLoss(margin=0.2)(anchor, positive, negative),
        "classification": nn.functional.cross_entropy(output.logits[:size], batch.label),
        "reconstruction": nn.functional.mse_loss(output.reconstruction[:size], batch.anchor),
        "kl": 0.5 * (output.mean**2 + output.log_variance.exp() - 1 - output.log_variance)[:size].sum(dim=1).mean(),
        "accuracy": (output.logits[:size].argmax(1) == batch.label).float().mean(),
    }
    for name, value in expected.items():
        assert float(module.latest[name]) == pytest.approx(float(value.detach()), rel=1e-5), name


def test_mined_triplets_are_those_of_the_batch(prepare: Prepare) -> None:
    module, batch = prepare(SIMPLE)
    embeddings = module.model(batch.anchor).embedding.detach()
    distances = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")

    module.training_step(batch, 0)

    losses = []
    for a, of_a in enumerate(batch.label.tolist()):
        for p, of_p in enumerate(batch.label.tolist()):
            for n, of_n in enumerate(batch.label.tolist()):
                gap = float(distances[a, n] - distances[a, p])
                if p != a and of_p == of_a != of_n and 0 < gap < 0.2:
                    losses.append(0.2 - gap)
    assert len(losses) > 100
    assert float(module.latest["triplet"]) == pytest.approx(sum(losses) / len(losses), rel=1e-3)


@pytest.mark.parametrize("mining", ["random", "all", "hard"])
@pytest.mark.parametrize("mode", ["true", "false"])
def test_the_soft_margin_trains_in_every_way_of_finding_triplets(prepare: Prepare, mining: str, mode: str) -> None:
    module, batch = prepare(
        "training.margin=null", f"training.triplet_mining={mining}", f"training.use_multitask_loss={mode}"
    )

    module.training_step(batch, 0).backward()

    assert torch.isfinite(module.latest["triplet"])
    assert all(torch.isfinite(gradient).all() for gradient in gradients(module).values() if gradient is not None)
    assert not no_gradient(module.model.encoder)


@pytest.mark.parametrize("mode", ["true", "false"])
def test_numbers_are_those_of_all_processes_and_weigh_as_much_as_their_images(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    module, batch = prepare(f"training.use_multitask_loss={mode}")
    module.eval()
    others = torch.tensor([0, 0, 0, 1])  # what the other processes have

    def gather(*tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.cat([tensor, tensor[others]]) for tensor in tensors)

    logged: dict[str, Any] = {}
    module.log_dict = logged.update
    monkeypatch.setattr("triptych.training.modules.gather_rows", gather)
    whole = Batch(*(torch.cat([part, part[others]]) for part in (batch.index, batch.anchor, batch.label)))

    module.on_validation_epoch_start()
    module.validation_step(batch, 0)
    module.on_validation_epoch_end()

    logits = module.model(whole.anchor).logits
    assert float(logged["val/classification"]) == pytest.approx(
        float(nn.functional.cross_entropy(logits, whole.label).detach()), rel=1e-5
    )
    right = (logits.argmax(1) == whole.label).float().mean()
    assert float(logged["val/accuracy"]) == pytest.approx(float(right))
    assert module._validated_images == len(batch.label) + 4


# A weight of zero


@pytest.mark.parametrize("mining", ["random", "semihard"])
@pytest.mark.parametrize(
    ("zero", "heads"),
    [
        (("classification",), ("classification_head",)),
        (("reconstruction",), ("decoder",)),
        (("triplet", "classification"), ("classification_head", "embedding_head")),
        (("triplet", "classification", "reconstruction"), ("classification_head", "embedding_head", "decoder")),
    ],
)
def test_a_head_that_only_terms_of_weight_zero_use_gets_no_gradient(
    prepare: Prepare, mining: str, zero: tuple[str, ...], heads: tuple[str, ...]
) -> None:
    module, batch = prepare(*(f"training.{term}_weight=0" for term in zero), f"training.triplet_mining={mining}")

    module.training_step(batch, 0).backward()

    parts = ("classification_head", "embedding_head", "decoder", "encoder", "latent_head")
    assert {part: no_gradient(getattr(module.model, part)) for part in parts} == {part: part in heads for part in parts}
    assert all(torch.isfinite(value) and value > 0 for name, value in module.latest.items() if name != "accuracy")


class Steep(nn.Module):
    """A term with a large gradient."""

    def __init__(self, inputs: tuple[str, ...]) -> None:
        super().__init__()
        self.inputs = inputs

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        return 1e6 * sum((each.sum() for each in (first, *others) if each.is_floating_point()), torch.zeros(()))


@pytest.mark.parametrize(
    ("weight", "part"),
    [(f"{part}_weight", part) for part in ("triplet", "classification", "reconstruction", "kl")],
)
def test_a_term_of_weight_zero_changes_no_gradient(prepare: Prepare, weight: str, part: str) -> None:
    def changed(value: float) -> bool:
        plain, steep = prepare(f"training.{weight}={value}")[0], prepare(f"training.{weight}={value}")[0]
        steep.loss.losses[part] = Steep(plain.loss.losses[part].inputs)
        for module in (plain, steep):
            module.training_step(batch, 0).backward()
        pairs = zip(gradients(plain.model).values(), gradients(steep.model).values(), strict=True)
        return any(a is not b and not torch.equal(a, b) for a, b in pairs if a is not None and b is not None)

    _, batch = prepare()
    assert not changed(0.0)
    assert changed(1.0)


def test_a_classifier_weight_of_zero_trains_the_triplets_alone(prepare: Prepare) -> None:
    module, batch = prepare(SIMPLE, "training.classifier_weight=0")

    module.training_step(batch, 0).backward()

    assert no_gradient(module.model.classification_head)
    assert not no_gradient(module.model.embedding_head)


# The KL warm-up


def test_the_kl_weight_climbs_from_zero_over_its_epochs(prepare: Prepare) -> None:
    module, batch = prepare("training.kl_warmup_epochs=0.5", "training.kl_weight=0.1")

    shares = []
    for step in (0, 3, 5, 10, 11):
        trainer = attach(module, num_training_batches=20, fit_loop=SimpleNamespace(total_batch_idx=step))
        losses = module.measure(batch).losses
        others = sum(losses.terms[name] for name in ("triplet", "classification", "reconstruction"))
        shares.append(float((losses.total.detach() - others) / (0.1 * losses.terms["kl"])))
        del trainer

    assert shares == pytest.approx([0.0, 0.3, 0.5, 1.0, 1.0], abs=1e-4)


def test_outside_training_the_kl_weight_is_whole(prepare: Prepare) -> None:
    module, batch = prepare("training.kl_warmup_epochs=2", "training.kl_weight=0.1")

    losses = module.eval().measure(batch).losses

    assert float(losses.total.detach()) == pytest.approx(
        float(sum(losses.terms.values()) - 0.9 * losses.terms["kl"]), rel=1e-6
    )


def test_beside_the_gaussian_loss_the_kl_divergence_is_a_mean_over_pixels_too(prepare: Prepare) -> None:
    module, batch = prepare("training.reconstruction_loss=gaussian", "training.kl_weight=0.1")

    losses = module.measure(batch).losses

    pixels = batch.anchor[0].numel()
    assert float((losses.weighted["kl"] / losses.terms["kl"]).detach()) == pytest.approx(0.1 / pixels, rel=1e-6)


# Randomness


def test_the_latents_noise_belongs_to_the_image_and_not_to_its_batch(prepare: Prepare) -> None:
    module, batch = prepare()
    assert isinstance(module, MultiTaskImageTransformerLightning)
    part = Batch(batch.index[10:20], batch.anchor[10:20], batch.label[10:20])

    torch.manual_seed(1)
    whole = module.model(batch.anchor, module._noise(batch))
    torch.manual_seed(2)
    alone = module.model(part.anchor, module._noise(part))

    assert torch.allclose((whole.latent - whole.mean)[10:20], alone.latent - alone.mean, atol=1e-5)
    assert not torch.allclose(whole.latent, whole.mean, atol=0.1)


def test_every_epoch_draws_new_noise(prepare: Prepare) -> None:
    module, batch = prepare()
    assert isinstance(module, MultiTaskImageTransformerLightning)
    first = module._noise(batch)

    trainer = attach(module)
    trainer.current_epoch = 1
    second = module._noise(batch)

    assert first is not None
    assert second is not None
    assert not torch.equal(first, second)


@pytest.mark.parametrize("mode", ["true", "false"])
def test_dropout_depends_on_seed_epoch_step_and_process_alone(prepare: Prepare, mode: str) -> None:
    module, batch = prepare("model.dropout=0.3", f"training.use_multitask_loss={mode}")

    def loss(step: int, **where: int) -> float:
        torch.randn(17)  # what came before must not matter
        trainer = SimpleNamespace(current_epoch=0, global_rank=0)
        vars(trainer).update(where)
        module.trainer = trainer
        module.log_dict = lambda *args, **kwargs: None
        return float(module.training_step(batch, step).detach())

    assert loss(4) == loss(4)
    assert len({loss(4), loss(5), loss(4, current_epoch=1), loss(4, global_rank=1)}) == 4


@pytest.mark.parametrize("mode", ["true", "false"])
def test_evaluation_is_without_noise_and_dropout(prepare: Prepare, mode: str) -> None:
    module, batch = prepare("model.dropout=0.3", f"training.use_multitask_loss={mode}")
    module.eval()

    first, second = module.measure(batch), module.measure(batch)

    assert torch.equal(first.losses.total, second.losses.total)
    assert len(first.label) == len(batch.label)


# The device


class NoWaiting(TorchDispatchMode):
    """Fails where a value, or a size that depends on values, is read: the host would wait for the device."""

    FORBIDDEN = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "_unique", "equal.default")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        assert not any(f"aten.{name}" in str(func) for name in self.FORBIDDEN), func
        if "aten.index" in str(func):
            indices = [each for arg in args if isinstance(arg, list | tuple) for each in arg]
            assert not any(isinstance(each, Tensor) and each.dtype == torch.bool for each in indices), "by a mask"
        return func(*args, **(kwargs or {}))


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("mining", ["random", "semihard", "all", "hard"])
@pytest.mark.parametrize("mode", ["true", "false"])
def test_a_training_step_never_waits_for_the_device(prepare: Prepare, mining: str, mode: str) -> None:
    module, batch = prepare(
        f"training.triplet_mining={mining}", f"training.use_multitask_loss={mode}", "training.kl_free_bits=0.1"
    )
    optimizer = build_optimizer(module, module.model.encoder, RunConfig.model_validate(module.hparams["config"]))

    with NoWaiting():
        module.training_step(batch, 0).backward()
        optimizer.step()


def test_the_watch_for_waiting_can_bark() -> None:
    for wait in (lambda x: float(x.sum()), lambda x: x[x > 0], lambda x: x.nonzero()):
        with pytest.raises(AssertionError), NoWaiting():
            wait(torch.ones(3))


# The module and its optimiser


@pytest.mark.parametrize(
    ("mode", "kind"), [("true", MultiTaskImageTransformerLightning), ("false", ImageTransformerLightning)]
)
def test_a_module_is_rebuilt_from_its_plain_hyper_parameters(
    prepare: Prepare, mode: str, kind: type[TaskModule]
) -> None:
    module, _ = prepare(f"training.use_multitask_loss={mode}")

    saved = dict(module.hparams)
    rebuilt = assemble(RunConfig.model_validate(saved.pop("config")), **saved)

    assert type(rebuilt) is type(module) is kind
    assert rebuilt.hparams == module.hparams
    assert rebuilt.classes == module.classes == tuple("0123456789")
    assert rebuilt.state_dict().keys() == module.state_dict().keys()
    plain = (dict, list, str, int, float, bool, type(None))

    def is_plain(value: object) -> bool:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return type(value) in plain and all(is_plain(each) for each in inside)

    assert all(is_plain(value) for value in module.hparams.values())


def test_the_seed_decides_the_weights(prepare: Prepare) -> None:
    torch.manual_seed(77)
    first, _ = prepare()
    second, _ = prepare()
    other, _ = prepare("training.seed=1")

    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16), ("16-mixed", torch.float32)]
)
def test_muon_multiplies_in_bfloat16_where_the_run_does(prepare: Prepare, precision: str, dtype: torch.dtype) -> None:
    module, batch = prepare("training.optimizer=muon")
    _trainer = attach(module, precision=precision, datamodule=SimpleNamespace(train_dataloader=lambda: [batch]))

    optimizer = module.configure_optimizers()["optimizer"]

    assert isinstance(optimizer, MuonAdamW)
    assert optimizer.muon_dtype == dtype


# Accumulated gradients


@pytest.mark.parametrize(("batches", "window"), [(7, 4), (8, 4), (3, 5), (5, 1)])
def test_every_batch_of_a_window_counts_alike_in_the_last_one_too(prepare: Prepare, batches: int, window: int) -> None:
    module, batch = prepare(f"training.accumulate_gradients={window}")
    _trainer = attach(module, num_training_batches=batches)
    loss = float(module.measure(batch).losses.total.detach())

    # Lightning divides by the whole window.
    shares = [float(module.training_step(batch, step).detach()) / window / loss for step in range(batches)]

    for start in range(0, batches, window):
        assert sum(shares[start : start + window]) == pytest.approx(1.0)


# Validation


def test_validation_is_measured_in_float32_whatever_trains(prepare: Prepare) -> None:
    module, batch = prepare()
    module.eval()
    module.log_dict = lambda values: None

    def validated() -> dict[str, float]:
        module.on_validation_epoch_start()
        module.validation_step(batch, 0)
        module.on_validation_epoch_end()
        return module.validated

    plain = validated()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert float(module.measure(batch, "val").losses.total.detach()) != plain["loss"]
        assert validated() == plain
