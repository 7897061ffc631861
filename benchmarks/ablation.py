"""Ablation study: the shipped config, and variants with one change each.

    python benchmarks/ablation.py [--config configs/cifar10.yaml] [--epochs 3] [--seeds 0] [--only NAME ...]
        [--set SECTION.KEY=VALUE ...]

Every variant is trained in its own process for the given number of epochs, including the full schedule, and measured at
the end of its training on the validation split: accuracy of the classifier, of the nearest training embedding (1-NN),
retrieval (MAP@R, leave-one-out) and reconstruction (MSE of a pixel in [0, 1]). A variant without a task has no metric
for it. `--set` changes all variants equally: `--set model.embed_dim=128` is a model of a third of the cost. A row is
printed as soon as it is measured, one JSON object per line.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from measuring import conditions, in_own_process
from shipped_way import fit_shipped, settled_precision, shipped, shipped_config

from triptych.evaluation.measuring.measures import measure_split
from triptych.evaluation.measuring.outputs import model_outputs
from triptych.training.building import build_module
from triptych.training.hardware.tuning import tuned_process

VARIANTS: dict[str, tuple[str, ...]] = {
    "as shipped": (),
    "linear patch embedding": ("model.patch_embedding=linear",),
    "no transformer block": ("model.num_layers=0",),
    "two transformer blocks": ("model.num_layers=2",),
    "8x8 tokens": ("model.patch_size=4",),
    "AdamW alone": ("training.optimizer=adamw",),
    "no principal components": ("model.principal_components=0",),
    "classification alone": (
        "training.triplet_weight=0",
        "training.reconstruction_weight=0",
        "training.kl_weight=0",
    ),
    "triplet loss alone": (
        "training.classification_weight=0",
        "training.reconstruction_weight=0",
        "training.kl_weight=0",
    ),
    "triplet loss and classification": ("training.use_multitask_loss=false",),
    "no triplet loss": ("training.triplet_weight=0",),
    "no KL divergence": ("training.kl_weight=0",),
    "no averaged weights": ("training.averaged_share=0",),
    "no label smoothing": ("training.label_smoothing=0",),
    "no augmentation": ("dataset.augmentation={}",),
    "all triplets": ("training.triplet_mining=all",),
    "hardest triplets": ("training.triplet_mining=hard",),
    "drawn triplets": ("training.triplet_mining=random",),
}
"""The variants, with their changes of the config."""

FIGURES = ("accuracy", "nearest_neighbour_accuracy", "map_at_r", "mse")


@tuned_process()
def measured(path: Path, changes: list[str]) -> dict[str, Any]:
    """Train and measure one variant."""
    config, data = shipped(path, changes)
    module = build_module(config, data)
    began = time.perf_counter()
    fit_shipped(config, data, module=module, validation=1)
    seconds = time.perf_counter() - began
    model = module.model.eval()
    gallery = model_outputs(model, data.train)
    _, _, figures = measure_split(model, data.validation, gallery=gallery, pad=config.dataset.pad)
    weights = module.loss.weights
    absent = {"accuracy": weights["classification"] == 0, "mse": weights.get("reconstruction", 0) == 0}
    values = {name: round(figures[name], 5) for name in FIGURES if name in figures and not absent.get(name, False)}
    return {**values, "train_seconds": round(seconds, 1)}


def main() -> None:
    """Train the variants one by one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).parents[1] / "configs" / "cifar10.yaml")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--set", nargs="+", default=[], dest="alike")
    given = parser.parse_args()

    alike = [*given.alike, in_own_process(settled_precision, given.config, given.alike)]
    run = {"config": given.config.name, "set": given.alike, "epochs": given.epochs}
    print(json.dumps({**run, **conditions(shipped_config(given.config, alike))}))
    for seed in given.seeds:
        for name in given.only:
            changes = [f"training.epochs={given.epochs}", f"training.seed={seed}", *alike, *VARIANTS[name]]
            row = in_own_process(measured, given.config, changes)
            print(json.dumps({"variant": name, "seed": seed, **row}), flush=True)


if __name__ == "__main__":
    main()
