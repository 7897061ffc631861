"""The KL divergence of each latent dimension, to see which are active and which have collapsed."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.visualisation.paper.sheet import MARGIN, ROOM, open_sheet
from triptych.visualisation.paper.style import INK, QUIET_INK, SAME_CLASS, house_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# In pixels of the saved picture.
_LEFT = 110
_CHART = 420
_KEY = 60
_BELOW = 90

_NAMED = 48
"""Maximum number of dimensions with a number below their bar."""
_INACTIVE = "#b9c1c8"


def latent_figure(
    kl_per_dimension: NDArray[np.floating] | Tensor,
    *,
    active: NDArray[np.bool_] | Tensor,
) -> "Figure":
    """Draw the KL divergence of each latent dimension as a bar, the largest first.

    Args:
        kl_per_dimension: Mean KL divergence (L,) from the prior, in nats, L at least 1, finite.
        active: Which dimensions (L,) are active units (Burda et al., ICLR 2016): in blue, the others in grey.

    Returns:
        A figure 2,000 pixels wide.
    """
    nats = torch.as_tensor(kl_per_dimension).detach().cpu().double().numpy()
    is_active = torch.as_tensor(active).detach().cpu().numpy()
    order = np.argsort(-nats, kind="stable")
    with house_style():
        sheet = open_sheet(_KEY + _CHART + _BELOW)
        axes = sheet.panel(MARGIN + _LEFT, _KEY, ROOM - _LEFT, _CHART)
        axes.bar(
            np.arange(len(nats)),
            nats[order],
            0.8,
            color=[SAME_CLASS if active else _INACTIVE for active in is_active[order]],
        )
        axes.grid(visible=False, axis="x")
        axes.set(xlim=(-0.7, len(nats) - 0.3), ylim=(min(0.0, 1.1 * nats.min()), 1.08 * max(nats.max(), 1e-3)))
        axes.set_ylabel("KL in nats", color=QUIET_INK)
        axes.set_xlabel("dimension of the latent, largest divergence first", color=QUIET_INK)
        is_named = len(nats) <= _NAMED
        axes.set_xticks(range(len(nats)) if is_named else [], order if is_named else [])
        axes.tick_params(axis="x", labelsize=min(6.0, 250 / len(nats)))
        x = float(MARGIN)
        for colour, count, word in (
            (SAME_CLASS, is_active.sum(), "active"),
            (_INACTIVE, (~is_active).sum(), "not active"),
        ):
            sheet.fill(x, -6, 28, 28, colour)
            text = sheet.write(x + 42, 18, f"{count} {word}", colour=INK)
            x += 42 + text.get_window_extent().width + 56
        sheet.write(x, 18, f"{nats.sum():.1f} nats in all", colour=QUIET_INK)
    return sheet.figure
