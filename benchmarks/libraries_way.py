"""The way of a reader of Lightning's and pytorch-metric-learning's guides, for the benchmark that compares with it."""

from collections.abc import Sequence

import torch
from lightning import Callback, LightningModule, Trainer
from plain_way import MARGIN, other_losses
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import TripletMarginMiner
from torch import Tensor
from torch.utils.data import DataLoader

from triptych.models import MultiTaskImageTransformer


class WithLibraries(LightningModule):
    """Trains the three panels on batches of images and labels, with the library's semi-hard triplets."""

    def __init__(self, model: MultiTaskImageTransformer, *, learning_rate: float) -> None:
        super().__init__()
        self.model = model
        self.learning_rate = learning_rate
        self.miner = TripletMarginMiner(margin=MARGIN, type_of_triplets="semihard")
        self.triplet = TripletMarginLoss(margin=MARGIN)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002
        """Mine, and add up the losses."""
        images, label = batch
        output = self.model(images)
        triplets = self.miner(output.embedding, label)
        loss: Tensor = self.triplet(output.embedding, label, triplets) + other_losses(output, images, label)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=self.learning_rate)


def fit_with_libraries(
    model: MultiTaskImageTransformer,
    loader: DataLoader[tuple[Tensor, ...]],
    *,
    learning_rate: float,
    callbacks: Sequence[Callback],
) -> None:
    """Train until a callback ends it; it writes nothing and shows nothing, which only makes it faster."""
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        gradient_clip_val=1.0,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(WithLibraries(model, learning_rate=learning_rate), loader)
