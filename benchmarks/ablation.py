"""What each ingredient of a recipe is worth: the shipped config, and the same with one of them taken away.

    python benchmarks/ablation.py [--config configs/cifar10.yaml] [--epochs 3] [--seeds 0] [--only NAME ...]

Every variant is trained in a process of its own for so many epochs, the schedule falling to its end within them, and
measured with its last weights on the test set: accuracy of the classifier, of the nearest training embedding (1-NN),
retrieval (MAP@R, leave-one-out) and reconstruction (MSE of a pixel in [0, 1]). A variant without a panel has no figure
for it. A row is printed as soon as it is measured, a JSON object a line.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from measuring import conditions, in_own_process
from shipped_way import fit_shipped, shipped, shipped_config

from triptych.evaluation.measures import image_columns, split_figures
from triptych.evaluation.outputs import model_outputs
from triptych.training.train import build_module

WITHOUT: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "convolutional stem": ("model.patch_embedding=linear",),
    "depthwise convolution": ("model.depthwise_convolution=false",),
    "Muon": ("training.optimizer=adamw",),
    "principal components": ("model.principal_components=false",),
    "triplet loss": ("training.triplet_weight=0",),
    "VAE panel": ("training.use_multitask_loss=false",),
    "gaussian reconstruction": (
        "training.reconstruction_loss=mse",
        "training.reconstruction_weight=10",
        "training.kl_weight=0.0003",
    ),
    "fixed weights": ("training.loss_balancing=uncertainty",),
    "name and repaint": (
        "training.classification_weight=0",
        "training.reconstruction_weight=0",
        "training.kl_weight=0",
    ),
    "compare and repaint": ("training.triplet_weight=0", "training.reconstruction_weight=0", "training.kl_weight=0"),
    "compare and name": ("training.triplet_weight=0", "training.classification_weight=0"),
}
"""What is taken away, and the changes to the config that do it; the last three leave one panel alone."""

FIGURES = ("accuracy", "nearest_neighbour_accuracy", "map_at_r", "mse")


def measured(path: Path, changes: list[str]) -> dict[str, Any]:
    """Train and measure one variant."""
    config, data = shipped(path, changes)
    module = build_module(config, data)
    began = time.perf_counter()
    fit_shipped(config, data, module=module, validation=1)
    seconds = time.perf_counter() - began
    model = module.model.eval()
    outputs = model_outputs(model, data.test)
    figures = split_figures(
        image_columns(model, data.test, outputs), data.test, outputs, model_outputs(model, data.train)
    )
    weights = module.weighted_sum.weights
    absent = {"accuracy": weights["classification"] == 0, "mse": weights.get("reconstruction", 0) == 0}
    values = {name: round(figures[name], 5) for name in FIGURES if name in figures and not absent.get(name, False)}
    return {**values, "train_seconds": round(seconds, 1)}


def main() -> None:
    """Train the variants one by one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).parents[1] / "configs" / "cifar10.yaml")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=WITHOUT, default=list(WITHOUT))
    given = parser.parse_args()

    print(json.dumps({"config": given.config.name, "epochs": given.epochs, **conditions(shipped_config(given.config))}))
    for seed in given.seeds:
        for name in given.only:
            changes = [f"training.epochs={given.epochs}", f"training.seed={seed}", *WITHOUT[name]]
            row = in_own_process(measured, given.config, changes)
            print(json.dumps({"without": name, "seed": seed, **row}), flush=True)


if __name__ == "__main__":
    main()
