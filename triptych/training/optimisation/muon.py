"""Muon for the hidden weights and AdamW for the rest, as one optimiser, which is what Lightning steps and saves."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
BETAS = (0.9, 0.95)
"""Of AdamW: the second average is short, as runs are of few thousand steps."""
FILTER_AXES = 4
"""Of a convolution's weight."""
MATRIX_SHARE = 0.25
"""A step of a matrix beside filters, in units of theirs: at the full length attention and MLP cost half a point on
CIFAR-10, at a quarter they add half a point (8 epochs, one seed)."""


class RatedLayer(NamedTuple):
    """Parameters that learn at a rate of their own."""

    name: str
    """Of their group in the optimiser."""
    parameters: list[Tensor]
    learning_rate: float


class MuonAdamW(Optimizer):
    """Muon on some matrices and filters, AdamW on all other parameters.

    Muon replaces the gradient's momentum by the nearest semi-orthogonal matrix, so that every direction of a hidden
    layer learns at the same rate (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).
    `torch.optim.Muon` does the same one matrix at a time and always in bfloat16; on a CPU without bfloat16 arithmetic
    that took eight times as long as float32, and on one with it a quarter, so this one takes the type as an argument,
    and works on all matrices of a shape at once.

    Filters keep the norm √rows, since batch normalisation follows them: their scale changes nothing but how far a step
    turns them, and without a fixed norm they grow, so that the learning rate falls by another schedule than the
    config's (Jordan, 2024, "94% on CIFAR-10 in 2.59 seconds on a single GPU", does the same). Matrices grow with every
    step, and nothing normalises what they add to the tokens: beside filters their steps are a quarter as long.

    Args:
        matrices: Parameters for Muon, of two dimensions or more. Those of four are filters, read as a matrix of a row
            each, and must be followed by a normalisation.
        others: Parameters for AdamW.
        layers: More parameters for AdamW, with learning rates of their own.
        muon_learning_rate: Step length relative to a semi-orthogonal matrix, times sqrt(rows / columns) of a tall one;
            where there are filters, it is theirs, and matrices take `MATRIX_SHARE` of it.
        learning_rate: AdamW's.
        weight_decay: Decoupled, for matrices and others of two or more dimensions; vectors are not decayed.
        momentum: Muon's, with Nesterov's look-ahead.
        muon_dtype: In which Muon multiplies matrices; parameters and momentum stay as they are.

    Raises:
        ValueError: A parameter for Muon is a vector or a number.
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
        """Make one step; `closure` computes loss and gradients, where given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # AdamW works on this optimiser's own groups and state, so that one state_dict holds everything.
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
    """Return the nearest semi-orthogonal matrices to `matrices` (M, rows, columns), roughly, in `dtype`.

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
    """Iterate in a third of the time for a filter of 3x3.

    What stands before X is a polynomial of XXᵀ throughout, so that the iterations multiply matrices of the shorter side
    alone, and X itself enters twice. With fewer digits than float32's this diverges: XXᵀ squares what is small.
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
