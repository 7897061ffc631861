"""Principal components: fixed dimensions of the latent, next to those that the encoder learns."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# B batch, C channels, H/W image, h/w grid of the components, L components, P = C * h * w.

FINEST = 32
"""Maximum side of the images for PCA, in pixels; larger images are downsampled by averaging."""
SPARE = 16
"""Components that are computed in addition to L, for the accuracy of the last ones (oversampling)."""
LEAST_SHARE = 1e-3
"""Components whose deviation is below this share of the first one's are noise, and are omitted."""


class PrincipalComponents(nn.Module):
    """A linear autoencoder that is not trained: it gives part of the latent and the image that the decoder refines.

    PCA (Pearson 1901) is the optimal linear autoencoder and needs no training, so that reconstruction starts from PCA's
    result, and the learned dimensions can encode what separates the classes. Before `fit` all components are zero.

    Args:
        count: L, number of components.
        image_size: H and W; images larger than 32x32 are averaged to that size by `encode`, and `decode` interpolates.
        channels: C.
        decoded_size: Height and width of decoded images, if they differ from H and W.
    """

    directions: Tensor
    deviations: Tensor
    centre: Tensor
    shrink_rows: Tensor | None
    shrink_columns: Tensor | None
    grow_rows: Tensor | None
    grow_columns: Tensor | None

    def __init__(
        self,
        count: int,
        *,
        image_size: tuple[int, int],
        channels: int,
        decoded_size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.grid = (channels, min(image_size[0], FINEST), min(image_size[1], FINEST))
        # Cells of whole pixels are averaged by pooling, others by matrix products, which all devices support. Decoding
        # always uses matrix products: the backward pass of interpolation is not deterministic on a GPU.
        self.cell = (image_size[0] // self.grid[1], image_size[1] // self.grid[2])
        pools = all(
            side == cell * cells for side, cell, cells in zip(image_size, self.cell, self.grid[1:], strict=True)
        )
        for name, side, out, cells in zip(
            ("rows", "columns"), image_size, decoded_size or image_size, self.grid[1:], strict=True
        ):
            shrink = None if pools or side == cells else _averages(side, cells)
            self.register_buffer(f"shrink_{name}", shrink, persistent=False)
            self.register_buffer(f"grow_{name}", None if out == cells else _interpolation(cells, out), persistent=False)
        self.pools = pools and self.cell != (1, 1)
        pixels = channels * self.grid[1] * self.grid[2]
        self.register_buffer("directions", torch.zeros(count, pixels))
        self.register_buffer("deviations", torch.ones(count))
        self.register_buffer("centre", torch.zeros(pixels))

    def encode(self, images: Tensor) -> Tensor:
        """Map standardised images (B, C, H, W) to (B, L); over the fitted images each component has deviation 1."""
        return F.linear(self._shrunk(images) - self.centre, self.directions / self.deviations[:, None])

    def decode(self, components: Tensor) -> Tensor:
        """Map components (B, L) to standardised images (B, C, H, W), or of the decoded size."""
        points = torch.addmm(self.centre, components, self.directions * self.deviations[:, None])
        return _resized(points.reshape(-1, *self.grid), self.grow_rows, self.grow_columns)

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor], *, seed: int) -> None:
        """Compute the components by PCA.

        Args:
            batches: Standardised images (B, C, H, W), a few thousand in total. If their rank is below L, the remaining
                components stay zero.
            seed: Seed of the randomised decomposition (Halko et al., 2011).
        """
        points = torch.cat([self._shrunk(images) for images in batches])
        self.centre.copy_(points.mean(0))
        count = min(len(self.directions), *points.shape)
        with torch.random.fork_rng(devices=[points.device] if points.is_cuda else []):
            torch.manual_seed(seed)
            computed = min(count + SPARE, *points.shape)
            _, values, directions = torch.pca_lowrank(points - self.centre, q=computed, center=False, niter=4)
        deviations = values[:count] / max(1, len(points) - 1) ** 0.5
        kept = deviations > LEAST_SHARE * deviations[0]
        self.directions[:count] = directions[:, :count].T * kept[:, None]
        self.deviations[:count] = torch.where(kept, deviations, 1.0)

    def _shrunk(self, images: Tensor) -> Tensor:
        """Downsample images (B, C, H, W) to the grid by averaging, (B, P)."""
        if self.pools:
            return F.avg_pool2d(images, self.cell).flatten(1)
        return _resized(images, self.shrink_rows, self.shrink_columns).flatten(1)


def _resized(images: Tensor, rows: Tensor | None, columns: Tensor | None) -> Tensor:
    """Multiply the rows and the columns of images (B, C, H, W) by a matrix each, unless it is None."""
    if rows is not None:
        images = rows @ images
    return images if columns is None else images @ columns.T


def _averages(side: int, cells: int) -> Tensor:
    """Return the matrix (cells, side) of means over neighbouring pixels."""
    return F.adaptive_avg_pool1d(torch.eye(side)[None], cells)[0].T.contiguous()


def _interpolation(cells: int, side: int) -> Tensor:
    """Return the matrix (side, cells) of linear interpolation."""
    return F.interpolate(torch.eye(cells)[None], size=side, mode="linear", align_corners=False)[0].T.contiguous()
