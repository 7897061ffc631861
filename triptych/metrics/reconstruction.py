"""Reconstruction errors of each image.

Letters: B images, C channels, H/W image.
"""

from typing import NamedTuple

from torch import Tensor

from triptych.metrics.inputs import require_same_shape

WINDOW_DEVIATION = 1.5
"""Deviation of SSIM's Gaussian window, in pixels (Wang et al. 2004); it is truncated 5 pixels from its centre."""

PSNR_CEILING = 100.0
"""Maximum in dB, used for a zero error, whose PSNR would be infinite: that of an error of 1e-5 in all pixels."""


class ReconstructionScores(NamedTuple):
    """Scores of each image, (B,) float32; scores of several batches can be concatenated."""

    mse: Tensor
    """Mean squared error of a pixel in [0, 1]."""
    psnr: Tensor
    """Peak signal-to-noise ratio, -10 log10(mse), in dB, at most 100."""
    ssim: Tensor
    """Structural similarity, at most 1 (Wang et al. 2004): the mean over channels and pixels."""


def reconstruction_scores(reconstructions: Tensor, images: Tensor) -> ReconstructionScores:
    """Compute the errors of reconstructions.

    SSIM is torchmetrics': K1 = 0.01, K2 = 0.03, range 1, a Gaussian window of deviation 1.5, images reflected at their
    borders. Images below 7 pixels are too small for this padding and get a window of deviation (side - 1) / 3.5; with a
    single pixel, only the brightness is compared.

    Args:
        reconstructions: (B, C, H, W), pixels in [0, 1].
        images: (B, C, H, W), the originals, pixels in [0, 1].

    Raises:
        ValueError: The shapes differ or are not (B, C, H, W), or pixels are not floats.

    Example:
        >>> import torch
        >>> images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> scores = reconstruction_scores(images, images)
        >>> scores.mse.tolist(), scores.psnr.tolist(), [round(value, 4) for value in scores.ssim.tolist()]
        ([0.0, 0.0], [100.0, 100.0], [1.0, 1.0])
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    require_same_shape({"reconstructions": reconstructions, "images": images}, letters="(B, C, H, W)")
    for name, pixels in (("reconstructions", reconstructions), ("images", images)):
        if not pixels.is_floating_point():
            raise ValueError(
                f"{name} must hold floats in [0, 1], but its type is {pixels.dtype}; convert uint8 pixels with "
                "images.float() / 255"
            )
    ours, theirs = reconstructions.detach().float(), images.detach().float()
    mse = (ours - theirs).square().flatten(start_dim=1).mean(dim=1)
    # The radius of torchmetrics' window is 3.5 deviations, which must be less than the side.
    deviation = min(WINDOW_DEVIATION, max((min(images.shape[2:]) - 1) / 3.5, 0.1))
    # Use the SSIM map of all pixels: the mean of older releases excludes borders, which are all of a small image.
    _, ssim = structural_similarity_index_measure(
        ours, theirs, sigma=deviation, data_range=1.0, reduction="none", return_full_image=True
    )
    return ReconstructionScores(mse, (-10 * mse.log10()).clamp(max=PSNR_CEILING), ssim.flatten(start_dim=1).mean(dim=1))
