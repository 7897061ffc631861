"""Activations that are computed again when the backward pass needs them, instead of being kept until then."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_RECOMPUTING: ContextVar[bool] = ContextVar("recomputing", default=False)


def recomputed(module: nn.Module, inputs: Tensor) -> Tensor:
    """Apply a module of which only the input is kept for the backward pass (Chen et al., 2016).

    The random numbers of dropout are drawn again as they were, so that gradients are the same to the last bit. Nothing
    is computed twice where no gradient is needed.
    """
    if not torch.is_grad_enabled():
        return cast(Tensor, module(inputs))
    if torch.compiler.is_compiling():
        # The compiler repeats the products alone, not what a module does to its buffers.
        return cast(Tensor, checkpoint(module, inputs, use_reentrant=False))
    return cast(Tensor, checkpoint(module, inputs, use_reentrant=False, context_fn=_contexts))


def is_recomputing() -> bool:
    """Return whether a module is applied for the second time, so that it does not count the batch twice."""
    return not torch.compiler.is_compiling() and _RECOMPUTING.get()


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of the first and of the second time."""
    return nullcontext(), _recomputing()


@contextmanager
def _recomputing() -> Iterator[None]:
    token = _RECOMPUTING.set(True)
    try:
        yield
    finally:
        _RECOMPUTING.reset(token)
