import copy
import io

import pytest
import torch
from torch import Tensor, nn

from triptych.training.optimisation.muon import MATRIX_SHARE, MuonAdamW, adamw, orthogonalise

RATES = {"muon_learning_rate": 0.02, "learning_rate": 0.003, "weight_decay": 0.1}


def parameters(*shapes: tuple[int, ...], seed: int = 0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def give_gradients(*groups: list[nn.Parameter], seed: int) -> None:
    """Give every group the same gradients."""
    for group in groups:
        generator = torch.Generator().manual_seed(seed)
        for parameter in group:
            parameter.grad = torch.randn(parameter.shape, generator=generator)


def difference(first: list[nn.Parameter], second: list[nn.Parameter]) -> float:
    return max(float((a - b).detach().abs().max()) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("shape", [(64, 64), (192, 64), (64, 576)])
@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_orthogonalising_in_bfloat16_gives_the_directions_of_float32(shape: tuple[int, int], decay: float) -> None:
    generator = torch.Generator().manual_seed(1)
    u, _, vh = torch.linalg.svd(torch.randn(3, *shape, generator=generator), full_matrices=False)
    matrices = (u * torch.arange(1.0, 65.0) ** -decay) @ vh

    got, expected = orthogonalise(matrices, torch.bfloat16), orthogonalise(matrices)

    assert got.dtype == torch.bfloat16
    similarity = torch.cosine_similarity(got.float().flatten(1), expected.flatten(1))
    assert float(similarity.min()) > 0.999
    assert float(torch.linalg.svdvals(got.float()).max()) < 1.3


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (8, 24), (5, 3)])
def test_orthogonalising_keeps_singular_vectors_and_brings_singular_values_near_one(
    shape: tuple[int, int],
) -> None:
    matrices = torch.randn(4, *shape, generator=torch.Generator().manual_seed(1))

    got = orthogonalise(matrices)

    u, s, vh = torch.linalg.svd(matrices, full_matrices=False)
    turned = u.mT @ got @ vh.mT
    values = turned.diagonal(dim1=1, dim2=2)
    assert torch.allclose(turned, torch.diag_embed(values), atol=1e-4)
    # The iteration lifts what is not tiny beside the largest.
    sizeable = s > 0.02 * s.norm(dim=1, keepdim=True)
    assert float(values[sizeable].min()) > 0.5
    assert float(values.max()) < 1.3


def test_orthogonalising_does_not_depend_on_the_scale_and_survives_zeros() -> None:
    matrices = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(2))

    assert torch.allclose(orthogonalise(1e-3 * matrices), orthogonalise(1e3 * matrices), atol=1e-4)
    assert torch.equal(orthogonalise(torch.zeros(1, 6, 4)), torch.zeros(1, 6, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(16, 16), (48, 16), (16, 48)])
def test_the_matrices_move_as_under_pytorchs_muon(shape: tuple[int, int], dtype: torch.dtype) -> None:
    ours, theirs = parameters(shape, shape), parameters(shape, shape)
    start = parameters(shape, shape)
    optimizer = MuonAdamW(ours, parameters((3,)), momentum=0.95, muon_dtype=dtype, **RATES)
    oracle = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True, adjust_lr_fn="original")

    for step in range(5):
        give_gradients(ours, theirs, seed=step)
        optimizer.step()
        oracle.step()

    for our, their, begin in zip(ours, theirs, start, strict=True):
        our_way, their_way = (our - begin).detach().flatten(), (their - begin).detach().flatten()
        # PyTorch's works in bfloat16, which has three digits.
        assert our.dtype == torch.float32
        assert float(torch.cosine_similarity(our_way, their_way, dim=0)) > 0.999
        assert float(our_way.norm() / their_way.norm()) == pytest.approx(1, abs=0.01)


def test_a_first_step_is_the_orthogonal_direction_beside_the_decay() -> None:
    (matrix,) = parameters((6, 2))
    before = matrix.detach().clone()
    optimizer = MuonAdamW([matrix], parameters((3,)), **RATES)

    give_gradients([matrix], seed=3)
    gradient = matrix.grad
    assert gradient is not None
    optimizer.step()

    expected = before * (1 - 0.02 * 0.1) - 0.02 * 3**0.5 * orthogonalise(gradient[None])[0]
    assert torch.allclose(matrix, expected, atol=1e-6)


def test_the_other_parameters_move_exactly_as_under_pytorchs_adamw() -> None:
    shapes = ((4, 3), (3,), (2, 3, 3, 3), ())
    ours, theirs = parameters(*shapes), parameters(*shapes)
    optimizer = MuonAdamW(parameters((4, 4)), ours, **RATES)
    oracle = torch.optim.AdamW(
        [
            {"params": [theirs[0], theirs[2]], "weight_decay": 0.1},
            {"params": [theirs[1], theirs[3]], "weight_decay": 0.0},
        ],
        lr=0.003,
        betas=(0.9, 0.95),
        fused=True,
    )

    for step in range(4):
        give_gradients(ours, theirs, seed=step)
        optimizer.step()
        oracle.step()

    assert all(torch.equal(our, their) for our, their in zip(ours, theirs, strict=True))


def test_matrices_of_one_shape_move_together_as_each_does_alone() -> None:
    shapes = ((6, 4), (6, 4), (4, 6), (6, 4))
    together, alone = parameters(*shapes), parameters(*shapes)
    optimizers = [MuonAdamW([matrix], parameters((3,)), **RATES) for matrix in alone]
    optimizer = MuonAdamW(together, parameters((3,)), **RATES)

    for step in range(3):
        give_gradients(together, alone, seed=step)
        for each in (optimizer, *optimizers):
            each.step()

    assert difference(together, alone) < 1e-6


def test_a_saved_state_resumes_bit_for_bit() -> None:
    shapes, others = ((6, 4), (4, 4)), ((5, 2), (7,))
    first = (parameters(*shapes), parameters(*others, seed=1))
    optimizer = MuonAdamW(*first, **RATES)
    for step in range(3):
        give_gradients(first[0] + first[1], seed=step)
        optimizer.step()

    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    second = copy.deepcopy(first)
    resumed = MuonAdamW(*second, **RATES)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for step in range(3, 6):
        give_gradients(first[0] + first[1], second[0] + second[1], seed=step)
        optimizer.step()
        resumed.step()

    for one, other in zip(first[0] + first[1], second[0] + second[1], strict=True):
        assert torch.equal(one, other)


def test_the_learning_rates_of_all_groups_follow_a_scheduler() -> None:
    matrices, others = parameters((4, 4)), parameters((4, 2))
    optimizer = MuonAdamW(matrices, others, muon_learning_rate=0.02, learning_rate=0.003, weight_decay=0.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.0)
    give_gradients(matrices, others, seed=0)
    optimizer.step()
    scheduler.step()
    before = [parameter.detach().clone() for parameter in matrices + others]

    optimizer.step()

    assert all(torch.equal(old, new) for old, new in zip(before, matrices + others, strict=True))


def test_parameters_without_a_gradient_stay_where_they_are() -> None:
    matrices, others = parameters((4, 4), (4, 4)), parameters((4, 2), (4, 2))
    before = [parameter.detach().clone() for parameter in matrices + others]
    optimizer = MuonAdamW(matrices, others, **RATES)
    give_gradients(matrices[:1], others[:1], seed=0)

    optimizer.step()

    moved = [not torch.equal(old, new) for old, new in zip(before, matrices + others, strict=True)]
    assert moved == [True, False, True, False]
    assert len(optimizer.state) == 2


def test_without_matrices_it_is_adamw_alone() -> None:
    ours, theirs = parameters((4, 3), (3,)), parameters((4, 3), (3,))
    optimizer = MuonAdamW([], ours, **RATES)
    oracle = adamw(theirs, learning_rate=0.003, weight_decay=0.1)

    give_gradients(ours, theirs, seed=0)
    optimizer.step()
    oracle.step()

    assert difference(ours, theirs) == 0
    assert [group["name"] for group in optimizer.param_groups] == ["adamw", "adamw_undecayed"]


def test_a_closure_computes_loss_and_gradients() -> None:
    (matrix,) = parameters((4, 4))
    optimizer = MuonAdamW([matrix], parameters((3,)), **RATES)

    def closure() -> float:
        optimizer.zero_grad()
        loss: Tensor = matrix.square().sum()
        loss.backward()
        return loss.item()

    before = closure()
    assert optimizer.step(closure) == before
    assert closure() < before


def test_muon_rejects_what_is_no_matrix() -> None:
    with pytest.raises(ValueError, match=r"Muon is for matrices, but got the shape \(3,\)"):
        MuonAdamW(parameters((3,)), parameters((4,)), **RATES)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_filters_of_a_fixed_norm_move_as_a_matrix_of_a_row_each(memory_format: torch.memory_format) -> None:
    (filters,), (matrix,) = parameters((6, 4, 3, 3)), parameters((6, 36))
    filters.data = filters.data.to(memory_format=memory_format)
    optimizers = [MuonAdamW([each], parameters((3,)), **RATES) for each in (filters, matrix)]

    for step in range(3):
        (gradient,) = parameters((6, 4, 3, 3), seed=step)
        filters.grad = gradient.detach().to(memory_format=memory_format)
        matrix.grad = gradient.detach().flatten(1)
        with torch.no_grad():
            matrix.mul_(6**0.5 / matrix.norm())
        for optimizer in optimizers:
            optimizer.step()

    assert filters.is_contiguous(memory_format=memory_format)
    assert torch.allclose(filters.flatten(1), matrix, atol=1e-6)


def test_matrices_beside_filters_take_steps_of_a_quarter() -> None:
    (beside,), (alone,), filters = parameters((6, 4)), parameters((6, 4)), parameters((6, 4, 3, 3))
    rates = {"learning_rate": 0.003, "weight_decay": 0.0}
    optimizers = [
        MuonAdamW([beside, *filters], parameters((3,)), muon_learning_rate=0.02, **rates),
        MuonAdamW([alone], parameters((3,)), muon_learning_rate=0.02 * MATRIX_SHARE, **rates),
    ]

    for step in range(3):
        give_gradients([beside, *filters], seed=step)
        give_gradients([alone], seed=step)
        for optimizer in optimizers:
            optimizer.step()

    assert torch.allclose(beside, alone, atol=1e-6)
