from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from triptych.config.schema import RunConfig
from triptych.data.images import ImageData
from triptych.data.module import ImageDataModule
from triptych.training.building import build_module
from triptych.training.callbacks.reconstructions import ReconstructionPictures
from triptych.training.modules import MultiTaskImageTransformerLightning
from triptych.visualisation.image_rows import reconstruction_grid


@pytest.fixture
def module(tiny_config: Callable[..., RunConfig], digits: ImageData) -> MultiTaskImageTransformerLightning:
    built = build_module(tiny_config(), ImageDataModule(tiny_config(), digits))
    assert isinstance(built, MultiTaskImageTransformerLightning)
    return built.eval()


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[TensorBoardLogger, list[tuple[str, Tensor, int]]]:
    """A logger, and what it was given to draw."""
    logger = TensorBoardLogger(tmp_path)
    pictures: list[tuple[str, Tensor, int]] = []
    monkeypatch.setattr(
        logger.experiment, "add_image", lambda tag, image, global_step: pictures.append((tag, image, global_step))
    )
    return logger, pictures


def trainer(logger: TensorBoardLogger, **changes: Any) -> SimpleNamespace:
    usual = {"current_epoch": 0, "global_step": 7, "is_global_zero": True, "state": SimpleNamespace(fn="fit")}
    return SimpleNamespace(logger=logger, **{**usual, **changes})


def test_the_picture_shows_the_images_above_what_the_model_makes_of_them(
    module: MultiTaskImageTransformerLightning, digits: ImageData, drawn: Any
) -> None:
    logger, pictures = drawn
    images = digits.test.images[:5]

    ReconstructionPictures(images, every_n_epochs=1).on_validation_epoch_end(trainer(logger), module)

    ((tag, picture, step),) = pictures
    originals = images.float() / 255
    assert (tag, step) == ("reconstructions", 7)
    assert torch.equal(picture, reconstruction_grid(originals, module.model.reconstruct(originals)))


def test_it_is_drawn_every_so_many_epochs(
    module: MultiTaskImageTransformerLightning, digits: ImageData, drawn: Any
) -> None:
    logger, pictures = drawn
    callback = ReconstructionPictures(digits.test.images[:2], every_n_epochs=3)

    for epoch in range(7):
        callback.on_validation_epoch_end(trainer(logger, current_epoch=epoch, global_step=epoch), module)

    assert [step for _, _, step in pictures] == [2, 5]


def test_only_the_first_process_draws(
    module: MultiTaskImageTransformerLightning, digits: ImageData, drawn: Any
) -> None:
    logger, pictures = drawn

    ReconstructionPictures(digits.test.images[:2], every_n_epochs=1).on_validation_epoch_end(
        trainer(logger, is_global_zero=False), module
    )

    assert pictures == []
