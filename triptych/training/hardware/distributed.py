"""Gathers the batch of all processes for the loss: the only exchange between processes except gradients."""

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Return the number of processes that train together; 1 if training is not distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_rows(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return each tensor with the rows of all processes, in the processes' order.

    The tensors have the same first dimension, which may differ between processes. The rows of this process keep their
    gradient, those of other processes have none: every process computes the same loss over the same rows, and
    DistributedDataParallel averages the gradients, so that the loss times `world_size()` gives the gradient of the
    whole batch.

    Args:
        tensors: (B, ...) each, floating point or integers below 2^24.

    Returns:
        The same number of tensors, of shape (sum of B, ...): integers in their dtype, others in float32. With one
        process, the tensors themselves.
    """
    if world_size() == 1:
        return tensors
    # All columns are concatenated: one exchange of rows, after one of their counts.
    shares = _exchange(torch.cat([tensor.detach().reshape(len(tensor), -1).float() for tensor in tensors], dim=1))
    start = sum(len(share) for share in shares[: dist.get_rank()])
    gathered = torch.split(torch.cat(shares), [tensor[0].numel() for tensor in tensors], dim=1)
    return tuple(_with_own(rows, tensor, start) for rows, tensor in zip(gathered, tensors, strict=True))


def _with_own(rows: Tensor, own: Tensor, start: int) -> Tensor:
    """Insert this process's rows, with their gradient, among all rows."""
    rows = rows.reshape(-1, *own.shape[1:]).to(rows.dtype if own.is_floating_point() else own.dtype)
    return torch.cat([rows[:start], own.to(rows.dtype), rows[start + len(own) :]])


def _exchange(rows: Tensor) -> list[Tensor]:
    """Return the rows of every process, by rank; they are padded to one length for the exchange."""
    lengths = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(world_size())]
    dist.all_gather(lengths, torch.tensor([len(rows)], device=rows.device))
    sizes = torch.cat(lengths).tolist()
    padded = rows.new_zeros(max(sizes), rows.shape[1])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return [part[:size] for part, size in zip(parts, sizes, strict=True)]
