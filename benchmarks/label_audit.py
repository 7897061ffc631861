"""How well the audit finds wrong labels: average precision beside every ranking of cleanlab's, on the same model.

    python benchmarks/label_audit.py --seeds 2

Replaces 5 % of Fashion-MNIST's labels, training and test, by random other labels, trains with
configs/fashionmnist.yaml, and compares the rankings. TRIPTYCH_DATA is the folder of the data sets.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from cleanlab.rank import get_label_quality_scores
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score

from triptych.config import load_config
from triptych.config.schema import RunConfig
from triptych.data.builder import load_dataset
from triptych.data.images import ImageData, Split
from triptych.data.module import ImageDataModule
from triptych.evaluation.audit.labels import doubt_labels, votes
from triptych.evaluation.audit.pool import Pool, pool_images
from triptych.runs.folders import new_run
from triptych.training.building import build_module
from triptych.training.hardware.machine import resolve_hardware
from triptych.training.trainer import build_callbacks, build_trainer

METHODS = (
    ("self_confidence", False),
    ("self_confidence", True),
    ("normalized_margin", False),
    ("normalized_margin", True),
    ("confidence_weighted_entropy", False),
)


def main() -> None:
    """Compare the rankings over a few seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/fashionmnist.yaml")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.05)
    given = parser.parse_args()
    results = [average_precisions(given.config, given.epochs, seed, given.share) for seed in range(given.seeds)]
    table = Table(title=f"{given.config}, {given.epochs} epochs, {given.share:.0%} of the labels flipped")
    for heading in ("ranking", "average precision", "each seed"):
        table.add_column(heading)
    for name in results[0]:
        values = [result[name] for result in results]
        table.add_row(name, f"{np.mean(values):.4f}", ", ".join(f"{value:.4f}" for value in values))
    Console().print(table)


def average_precisions(path: str, epochs: int, seed: int, share: float) -> dict[str, float]:
    """Flip labels, train on them, and measure every ranking."""
    config = load_config(Path(path), [f"training.epochs={epochs}", f"training.seed={seed}"])
    clean = load_dataset(config.dataset.name)
    random = np.random.default_rng(seed)
    train, test = (flipped(split, share, len(clean.classes), random) for split in (clean.train, clean.test))
    data = ImageDataModule(config, ImageData(train, test, clean.classes, clean.origin))
    pool = pool_images(trained(config, data), data)
    truth = torch.where(
        pool.split == 2,
        clean.test.labels[pool.position.clamp(max=len(clean.test) - 1)],
        clean.train.labels[pool.position],
    )
    is_wrong = (pool.labels != truth).numpy()
    return {name: average_precision_score(is_wrong, score) for name, score in rankings(pool).items()}


def rankings(pool: Pool) -> dict[str, np.ndarray]:
    """Return every ranking's score; the most doubtful label has the highest."""
    labels, row = pool.labels.numpy(), np.arange(len(pool))
    of_neighbours = torch.nn.functional.one_hot(pool.labels)[pool.neighbours].double().mean(dim=1).numpy()
    assert pool.error is not None
    return {
        "triptych, three signals": doubt_labels(pool).score.numpy(),
        "classifier alone": -pool.probabilities.numpy()[row, labels],
        "neighbours alone": -votes(pool).numpy()[row, labels],
        "reconstruction error alone": pool.error.numpy(),
        **{
            f"cleanlab, {source}, {method}{', adjusted' if adjusted else ''}": -get_label_quality_scores(
                labels, probabilities, method=method, adjust_pred_probs=adjusted
            )
            for source, probabilities in (("probabilities", pool.probabilities.numpy()), ("features", of_neighbours))
            for method, adjusted in METHODS
        },
    }


def flipped(split: Split, share: float, classes: int, random: np.random.Generator) -> Split:
    """Give a share of the images another label at random."""
    labels = split.labels.clone()
    chosen = random.permutation(len(labels))[: round(share * len(labels))]
    labels[chosen] = (labels[chosen] + torch.from_numpy(random.integers(1, classes, len(chosen)))) % classes
    return Split(split.images, labels)


def trained(config: RunConfig, data: ImageDataModule) -> torch.nn.Module:
    """Train as the command does, and return the model after the last epoch."""
    module = build_module(config, data)
    with tempfile.TemporaryDirectory() as output:
        folders, hardware = new_run(Path(output), config.dataset.name), resolve_hardware(config.training)
        trainer = build_trainer(config, build_callbacks(config, data, folders, Console(), hardware), hardware)
        trainer.fit(module, datamodule=data)
    return module.model


if __name__ == "__main__":
    main()
