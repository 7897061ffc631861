"""The config of a run: the schema of the YAML file, and the loader that reports every error at once."""

from triptych.config.datasets import KNOWN_DATASETS, OWN_IMAGES
from triptych.config.loader import dump_config, load_config
from triptych.config.schema import (
    AugmentationConfig,
    DatasetConfig,
    EarlyStoppingConfig,
    LoggingConfig,
    ModelConfig,
    RunConfig,
    SchedulerConfig,
    TrainingConfig,
)

__all__ = [
    "KNOWN_DATASETS",
    "OWN_IMAGES",
    "AugmentationConfig",
    "DatasetConfig",
    "EarlyStoppingConfig",
    "LoggingConfig",
    "ModelConfig",
    "RunConfig",
    "SchedulerConfig",
    "TrainingConfig",
    "dump_config",
    "load_config",
]
