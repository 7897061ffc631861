"""What every loss must keep, run over one table of them: a new loss is a new row."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from triptych.losses import (
    BatchTripletLoss,
    KLDivergenceLoss,
    MultiTaskLoss,
    ReconstructionLoss,
    TripletLoss,
)

LABELS = torch.arange(24) % 4


def mined(mining, margin):
    loss = BatchTripletLoss(margin=margin, mining=mining)
    return lambda x: loss(F.normalize(x, dim=1), LABELS)


def reconstructed(kind):
    loss = ReconstructionLoss(kind=kind)
    return lambda x: loss(x.sigmoid().reshape(24, 2, 2, 2), torch.linspace(0, 1, 192).reshape(24, 2, 2, 2))


def weighted(x):
    terms = {"kl": (KLDivergenceLoss(), 0.5), "triplet": (BatchTripletLoss(mining="all"), 1.0)}
    loss = MultiTaskLoss(terms)
    outputs = {"mean": x[:, :4], "log_variance": x[:, 4:], "embedding": F.normalize(x, dim=1), "label": LABELS}
    return loss(loss.rows(outputs), {"kl": 0.5}).total


# Each takes a (24, 8) tensor of standard normal numbers to a scalar.
LOSSES = {
    "triplet, margin": lambda x: TripletLoss(margin=0.2)(x[:8], x[8:16], x[16:]),
    "triplet, soft": lambda x: TripletLoss(margin=None)(x[:8], x[8:16], x[16:]),
    "all, margin": mined("all", 0.2),
    "all, soft": mined("all", None),
    "semihard": mined("semihard", 0.2),
    "hard, margin": mined("hard", 0.2),
    "hard, soft": mined("hard", None),
    "kl": lambda x: KLDivergenceLoss(free_bits=0.05)(x[:, :4], x[:, 4:]),
    "mse": reconstructed("mse"),
    "bce": reconstructed("bce"),
    "gaussian": reconstructed("gaussian"),
    "given triplets": lambda x: BatchTripletLoss()(F.normalize(x, dim=1), None, torch.arange(24).split(8)),
    "references": lambda x: BatchTripletLoss()(x[:8], LABELS[:8], None, x[8:], LABELS[8:]),
    "multi-task": weighted,
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def normal(dtype=torch.float32):
    drawn = torch.randn(24, 8, generator=torch.Generator().manual_seed(0))
    return drawn.bfloat16().to(dtype).requires_grad_()  # numbers that every type holds exactly


class NoHostSynchronisation(TorchDispatchMode):
    """Fails on every operation that would make the host wait for a GPU."""

    WAITS = ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::masked_select", "aten::equal")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function._schema.name not in self.WAITS
        if function._schema.name in ("aten::index", "aten::index_put_", "aten::index_put"):
            assert not any(index is not None and index.dtype == torch.bool for index in args[1])
        return function(*args, **(kwargs or {}))


@every_loss
@pytest.mark.usefixtures("as_on_a_gpu")
def test_neither_the_loss_nor_its_gradient_makes_the_host_wait(loss):
    numbers = normal()
    with NoHostSynchronisation():
        loss(numbers).backward()
    assert numbers.grad.abs().sum() > 0


@pytest.mark.parametrize("wait", [lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: x.nonzero()])
def test_the_guard_against_waiting_can_fail(wait):
    with pytest.raises(AssertionError), NoHostSynchronisation():
        wait(normal().detach())


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_autocast_changes_nothing_but_the_rounding_of_what_goes_in(loss, dtype):
    plain = loss(normal())
    numbers = normal(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = loss(numbers)
    cast.backward()
    assert cast.dtype == torch.float32
    assert numbers.grad.isfinite().all()
    # bf16 numbers go through a bf16 normalisation, sigmoid or square before the loss sees them
    torch.testing.assert_close(cast, plain, atol=1e-6 if dtype == torch.float32 else 0.02, rtol=1e-6)


@every_loss
def test_double_precision_is_kept(loss):
    assert loss(normal(torch.float64)).dtype == torch.float64


@every_loss
def test_deterministic_algorithms_suffice_and_repeat_bit_for_bit(loss):
    torch.use_deterministic_algorithms(True)
    try:
        gradients = [torch.autograd.grad(loss(numbers), numbers)[0] for numbers in (normal(), normal())]
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(*gradients)
