"""Activation checkpointing: activations are recomputed in the backward pass instead of being stored."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_RECOMPUTING: ContextVar[bool] = ContextVar("recomputing", default=False)


def recomputed(module: nn.Module, inputs: Tensor) -> Tensor:
    """Apply a module, and store only its input for the backward pass (Chen et al., 2016).

    Dropout draws the same random numbers again, so that gradients are bit-identical. Nothing is recomputed if no
    gradient is needed.
    """
    if not torch.is_grad_enabled():
        return cast(Tensor, module(inputs))
    if torch.compiler.is_compiling():
        # The compiler recomputes only the operations, not a module's updates of its buffers.
        return cast(Tensor, checkpoint(module, inputs, use_reentrant=False))
    return cast(Tensor, checkpoint(module, inputs, use_reentrant=False, context_fn=_contexts))


def is_recomputing() -> bool:
    """Return whether a module is being recomputed, so that it does not count the batch twice."""
    return not torch.compiler.is_compiling() and _RECOMPUTING.get()


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of the forward pass and of the recomputation."""
    return nullcontext(), _recomputing()


@contextmanager
def _recomputing() -> Iterator[None]:
    token = _RECOMPUTING.set(True)
    try:
        yield
    finally:
        _RECOMPUTING.reset(token)
