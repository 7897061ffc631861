"""A real run for the tests of the report: trained for a second, with class names that hold markup."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from triptych.config import load_config
from triptych.config.schema import RunConfig
from triptych.data.builder import load_dataset
from triptych.data.images import ImageData
from triptych.data.module import ImageDataModule
from triptych.evaluation.measuring.measured import Evaluation, measure
from triptych.evaluation.measuring.outputs import Model
from triptych.evaluation.opening import OpenedModel
from triptych.evaluation.report import Picture, report_pictures
from triptych.training.checkpoints.loading import load_lightning_model
from triptych.training.train import train

CLASSES = (
    "zero",
    "one",
    "two",
    "<script>alert(1)</script>",
    "four",
    "</script>five",
    "$x_6$",
    "a\tb",
    '"eight"',
    "nine",
)


@dataclass(frozen=True)
class Reported:
    """A trained model, what was measured of it, and, on request, the pictures of its report."""

    config: RunConfig
    folder: Path
    model: Model
    data: ImageDataModule
    evaluation: Evaluation

    @property
    def opened(self) -> OpenedModel:
        return OpenedModel(self.model, self.data, self.folder, self.folder, "best.ckpt")

    @cached_property
    def pictures(self) -> dict[str, list[Picture] | str]:
        return report_pictures(self.model, self.data, self.evaluation)


@pytest.fixture(scope="session")
def reported(quick_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """A run on the digits: six epochs of six steps."""
    config = load_config(
        quick_yaml, ("training.epochs=6", "training.deterministic=false", "training.learning_rate=0.005")
    )
    result = train(config, output=tmp_path_factory.mktemp("reported"))
    images = load_dataset("digits")
    data = ImageDataModule(config, ImageData(images.train, images.test, CLASSES, "made"))
    model = load_lightning_model(result.best_checkpoint).model
    return Reported(config, result.folders.version_folder, model, data, measure(model, data, split="test"))
