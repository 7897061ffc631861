"""Muon for hidden weights and AdamW for all others in one optimiser, because Lightning steps and saves only one."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
BETAS = (0.9, 0.95)
"""Betas of AdamW: the average of squared gradients is short, because runs have only a few thousand steps."""
FILTER_AXES = 4
"""Number of dimensions of a convolution's weight."""
MATRIX_SHARE = 0.25
"""Step size of matrices relative to that of filters: with equal steps the accuracy on CIFAR-10 is half a point lower
with Muon on attention and MLP, with a quarter it is half a point higher (8 epochs, one seed)."""


class RatedLayer(NamedTuple):
    """Parameters with their own learning rate."""

    name: str
    """Name of their parameter group."""
    parameters: list[Tensor]
    learning_rate: float


class MuonAdamW(Optimizer):
    """Muon on some matrices and filters, AdamW on all other parameters.

    Muon replaces the gradient's momentum by the nearest semi-orthogonal matrix, so that every direction of a hidden
    layer learns at the same rate (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/). `torch.optim.Muon`
    does the same one matrix at a time and always in bfloat16; that took eight times as long as float32 on a CPU without
    bfloat16 arithmetic, and a quarter of the time on one with it. This class takes the dtype as an argument, and
    processes all matrices of a shape together.

    Filters keep the norm √rows, because batch normalisation follows them: their scale only changes the rotation per
    step, and without a fixed norm they would grow, so that the effective learning rate would decrease by another
    schedule than the config's (Jordan, 2024, "94% on CIFAR-10 in 2.59 seconds on a single GPU", does the same).
    Matrices grow with every step, and nothing normalises their outputs before they are added to the tokens: with
    filters, their steps are a quarter as long.

    Args:
        matrices: Parameters for Muon, with at least two dimensions. Those with four are filters, treated as a matrix
            with one row per filter, and must be followed by a normalisation.
        others: Parameters for AdamW.
        layers: More parameters for AdamW, with their own learning rates.
        muon_learning_rate: Step size relative to a semi-orthogonal matrix, times sqrt(rows / columns) of a tall one;
            if there are filters, it applies to them, and matrices use `MATRIX_SHARE` of it.
        learning_rate: AdamW's learning rate.
        weight_decay: Decoupled weight decay of matrices and others with at least two dimensions; vectors are not
            decayed.
        momentum: Muon's Nesterov momentum.
        muon_dtype: The dtype of Muon's matrix products; parameters and momentum keep theirs.

    Raises:
        ValueError: A parameter for Muon is a vector or a scalar.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        others: Iterable[Tensor],
        *,
        layers: Iterable[RatedLayer] = (),
        muon_learning_rate: float,
        learning_rate: float,
        weight_decay: float,
        momentum: float = 0.85,
        muon_dtype: torch.dtype = torch.float32,
    ) -> None:
        matrices = list(matrices)
        for matrix in matrices:
            if matrix.ndim < 2:
                raise ValueError(f"Muon is for matrices, but got the shape {tuple(matrix.shape)}; pass it in `others`")
        self._adamw = adamw(others, layers=layers, learning_rate=learning_rate, weight_decay=weight_decay)
        groups = list(self._adamw.param_groups)
        if matrices:
            muon = {"lr": muon_learning_rate, "momentum": momentum, "weight_decay": weight_decay}
            groups.append({"name": "muon", "params": matrices, **muon})
        super().__init__(groups, {"momentum": None})
        self.muon_dtype = muon_dtype
        self._matrix_share = MATRIX_SHARE if any(matrix.ndim == FILTER_AXES for matrix in matrices) else 1.0

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Perform one step; `closure` computes loss and gradients, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # AdamW uses this optimiser's groups and state, so that one state_dict holds everything.
        self._adamw.param_groups = [group for group in self.param_groups if group["momentum"] is None]
        self._adamw.state = self.state
        self._adamw.step()
        for group in self.param_groups:
            if group["momentum"] is not None:
                self._muon_step(group)
        return loss

    def _muon_step(self, group: dict[str, Any]) -> None:
        rate, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        by_shape: defaultdict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for matrix in group["params"]:
            if matrix.grad is None:
                continue
            state = self.state[matrix]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = torch.zeros_like(matrix)
            buffer = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
            ahead = matrix.grad.lerp(buffer, momentum).flatten(1)
            by_shape[ahead.shape].append((matrix, ahead))
        for (rows, columns), pairs in by_shape.items():
            directions = orthogonalise(torch.stack([ahead for _, ahead in pairs]), self.muon_dtype)
            length = rate * max(1.0, rows / columns) ** 0.5
            for (matrix, _), direction in zip(pairs, directions.unbind(), strict=True):
                is_filter = matrix.ndim == FILTER_AXES
                if is_filter:
                    matrix.mul_(rows**0.5 / matrix.norm().clamp_min(1e-7))
                step = -length if is_filter else -length * self._matrix_share
                matrix.mul_(1 - rate * decay).add_(direction.to(matrix.dtype).view(matrix.shape), alpha=step)


def adamw(
    parameters: Iterable[Tensor], *, layers: Iterable[RatedLayer] = (), learning_rate: float, weight_decay: float
) -> AdamW:
    """Build AdamW (Loshchilov & Hutter 2019) that decays matrices, but not biases, gains and scales."""
    groups: list[dict[str, Any]] = []
    for layer in (RatedLayer("adamw", list(parameters), learning_rate), *layers):
        matrices, vectors = [p for p in layer.parameters if p.ndim >= 2], [p for p in layer.parameters if p.ndim < 2]
        rate = layer.learning_rate
        groups += [
            {"name": layer.name, "params": matrices, "lr": rate, "weight_decay": weight_decay},
            {"name": f"{layer.name}_undecayed", "params": vectors, "lr": rate, "weight_decay": 0.0},
        ]
    return AdamW([group for group in groups if group["params"]], lr=learning_rate, betas=BETAS, fused=True)


def orthogonalise(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return approximately the nearest semi-orthogonal matrices to `matrices` (M, rows, columns), in `dtype`.

    Five Newton-Schulz iterations X <- (a + b XXᵀ + c (XXᵀ)²) X bring every singular value near 1 (between 0.7 and 1.2
    for well-conditioned input).
    """
    x = matrices.float()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = (x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)).to(dtype)
    x = _iterated_on_the_gram_matrix(x) if dtype == torch.float32 else _iterated(x)
    return x.mT if tall else x


def _iterated(x: Tensor) -> Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _iterated_on_the_gram_matrix(x: Tensor) -> Tensor:
    """Iterate on the Gram matrix, in a third of the time for 3x3 filters.

    The factor of X is always a polynomial of XXᵀ, so that the iterations multiply only matrices of the shorter side,
    and X itself is used twice. Below float32 precision this diverges, because XXᵀ squares small singular values.
    """
    a, b, c = COEFFICIENTS
    gram, factor = x @ x.mT, None
    for iteration in range(ITERATIONS):
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal(dim1=-2, dim2=-1).add_(a)
        factor = polynomial if factor is None else polynomial @ factor
        if iteration < ITERATIONS - 1:
            gram = polynomial @ gram @ polynomial
    assert factor is not None
    return factor @ x
