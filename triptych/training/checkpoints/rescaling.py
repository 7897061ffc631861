"""A run resumed with another number of processes: its steps become those of epochs with more or fewer batches."""

from typing import Any


def rescale(checkpoint: dict[str, Any], *, before: int, now: int, left: int | None) -> None:
    """Change the step counters of a saved state in place, so that the run stands where it stood in its epochs.

    Learning rate and averaging are functions of the step. Without the change they would follow the schedule of a run of
    another length.

    Args:
        checkpoint: What Lightning is about to restore.
        before: Batches of an epoch when it was saved.
        now: Batches of an epoch now.
        left: Batches that are left of the epoch in which it was saved; None at an epoch's end.
    """
    loop = checkpoint["loops"]["fit_loop"]

    def scaled(steps: int) -> int:
        return round(steps * now / before)

    batches = loop["epoch_loop.batch_progress"]
    for counters in (batches["total"], *_counters(loop["epoch_loop.automatic_optimization.optim_progress"])):
        counters.update({name: scaled(value) for name, value in counters.items()})
    done = now if left is None else now - left
    batches["current"].update(dict.fromkeys(batches["current"], done))
    batches["is_last_batch"] = left is None
    state = loop["epoch_loop.state_dict"]
    state["_batches_that_stepped"] = scaled(state["_batches_that_stepped"])
    for schedule in checkpoint["lr_schedulers"]:
        schedule["last_epoch"] = scaled(schedule["last_epoch"])
    if "averaged_steps" in checkpoint:
        checkpoint["averaged_steps"] = max(1, scaled(checkpoint["averaged_steps"]))
    checkpoint["global_step"] = scaled(checkpoint["global_step"])


def _counters(progress: dict[str, Any]) -> list[dict[str, int]]:
    """Return the innermost mappings: those that count."""
    if all(isinstance(value, int) for value in progress.values()):
        return [progress]
    return [found for inner in progress.values() if isinstance(inner, dict) for found in _counters(inner)]
