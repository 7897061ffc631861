"""The learning curves of a run, read back from the event files that training left for TensorBoard."""

import re
from pathlib import Path

from triptych.evaluation.report.pictures import Picture, picture
from triptych.visualisation import curves_figure

MOST_POINTS = 2000
"""Of a curve; a longer one is thinned by TensorBoard's reader, which keeps its last point."""

SERIES = {"train": "training", "val": "validation"}

Curve = tuple[list[int], list[float]]
"""Steps, ascending, and values."""


def curves_picture(folder: Path | None) -> Picture | None:
    """Draw the curves in a run's version folder; None where there are none."""
    curves = learning_curves(folder)
    if not curves:
        return None
    return picture(
        "curves",
        curves_figure(curves, title=""),
        title="Learning curves",
        caption="Training is measured batch by batch, on augmented images and with noise in the latent; validation "
        "after every epoch, without either, and so it may look better. Where training goes on improving and validation "
        "turns, the model has begun to learn by heart.",
        alt=f"Curves of {', '.join(curves)} over the steps of training.",
    )


def learning_curves(folder: Path | None) -> dict[str, dict[str, Curve]]:
    """Read the curves of training and validation from a run's version folder.

    Args:
        folder: The version folder; None where there is none.

    Returns:
        By metric, in the order in which training logged them, and by "training" or "validation", a curve. Empty where
        the run kept no curves.
    """
    if folder is None or not any(folder.glob("events.out.tfevents.*")):
        return {}
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={SCALARS: MOST_POINTS})
    events.Reload()
    curves: dict[str, dict[str, Curve]] = {}
    for tag in events.Tags()[SCALARS]:
        if match := re.fullmatch(r"(train|val)/(.+)", tag):
            # A run that was resumed may have logged a step twice: the later value is that of the weights that stayed.
            # By the clock, as the reader takes event files in the order of their names: "...9" after "...10".
            in_time = sorted(events.Scalars(tag), key=lambda event: event.wall_time)
            values = {event.step: event.value for event in in_time}
            steps = sorted(values)
            curves.setdefault(match[2], {})[SERIES[match[1]]] = (steps, [values[step] for step in steps])
    return curves
