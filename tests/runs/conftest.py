"""Runs as training writes them, without the training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.config import dump_config
from triptych.config.schema import RunConfig
from triptych.runs.folders import RunFolders
from triptych.runs.per_image import PerImage

METRICS = {
    "test": {"accuracy": 0.9, "loss": 0.5, "confusion": [[1, 0], [0, 1]]},
    "val": {"accuracy": 0.91, "loss": 0.4},
    "best_checkpoint": "/elsewhere/lightning_checkpoints/digits/epoch=01-val_accuracy=0.91.ckpt",
    "epochs": 2,
    "train_seconds": 12.5,
    "environment": {"cpu_count": 2, "device": "CPU, 1 thread"},
}


@pytest.fixture
def left(tmp_path: Path) -> Callable[..., RunFolders]:
    """Write a run: its config, with some values changed, and its metrics; None writes no file."""

    def leave(
        dataset: str = "digits",
        version: int = 0,
        *,
        training: dict[str, Any] | None = None,
        metrics: dict[str, Any] | str | None = METRICS,
    ) -> RunFolders:
        folders = RunFolders(tmp_path, dataset, version)
        folders.version_folder.mkdir(parents=True)
        config = RunConfig.model_validate({"dataset": {"name": dataset}, "training": training or {}})
        folders.config.write_text(dump_config(config))
        if metrics is not None:
            folders.metrics.write_text(metrics if isinstance(metrics, str) else json.dumps(metrics))
        return folders

    return leave


@pytest.fixture
def measured() -> Callable[..., PerImage]:
    """Make up the results of a model that classifies a given share of 400 images; some are hard for every model."""

    def measure(skill: float, *, seed: int = 0, images: str | None = "digest", count: int = 400) -> PerImage:
        labels = np.arange(count) % 10
        difficulty = np.random.default_rng(0).random(count)
        own = np.random.default_rng(seed + 1)
        correct = difficulty + 0.05 * own.standard_normal(count) < skill
        error = 0.02 * difficulty + 0.001 * own.random(count)
        columns = {
            "index": np.arange(count),
            "label": labels,
            "prediction": np.where(correct, labels, (labels + 1) % 10),
            "confidence": own.random(count).astype(np.float32),
            "map_at_r": np.where(labels == 3, np.nan, 1 - difficulty / 2).astype(np.float32),
            "mse": error.astype(np.float32),
        }
        influences = {"map_at_r": (0.01 * np.random.default_rng(0).standard_normal(120) / np.sqrt(120)).tolist()}
        description = {"dataset": "digits", "split": "test", "images": images, "influences": influences}
        return PerImage(columns, description)

    return measure
