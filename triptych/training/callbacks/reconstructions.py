"""Reconstructions in TensorBoard: validation images above their reconstructions."""

import warnings

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from triptych.models import MultiTaskImageTransformer
from triptych.training.modules import TaskModule
from triptych.visualisation.image_rows import reconstruction_grid


class ReconstructionPictures(Callback):
    """Draws the same few validation images every time, so that progress is visible.

    Args:
        images: (B, C, H, W) uint8.
        every_n_epochs: Number of validation epochs between two pictures.
    """

    def __init__(self, images: Tensor, *, every_n_epochs: int) -> None:
        self.images = images.float() / 255
        self.every_n_epochs = every_n_epochs

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the pictures in every n-th epoch."""
        due = (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if not (due and trainer.is_global_zero):
            return
        assert isinstance(trainer.logger, TensorBoardLogger)
        assert isinstance(pl_module, TaskModule)
        assert isinstance(pl_module.model, MultiTaskImageTransformer)
        with torch.no_grad():
            reconstructions = pl_module.model.reconstruct(self.images.to(pl_module.device))
        try:
            grid = reconstruction_grid(self.images, reconstructions)
        except Exception as error:  # a failed picture must not end a run
            warnings.warn(f"reconstructions were not drawn: {error}", stacklevel=2)
            return
        trainer.logger.experiment.add_image("reconstructions", grid, global_step=trainer.global_step)
