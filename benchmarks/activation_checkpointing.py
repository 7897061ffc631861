"""Memory and time of `model.activation_checkpointing` at 224 pixels: a plain ViT, our encoder, a pretrained one.

    python benchmarks/activation_checkpointing.py [--batch 16] [--steps 3] [--only NAME ...] [--three-panels]

Forward and backward passes of a whole model over random images, without an optimiser: its memory is the same either
way. "plain" is as wide and deep as a ViT-S/16, "own" has the convolutional patch embedding and one block of width 128;
the pretrained encoder is a ViT-S/16 of Hugging Face transformers with random weights, fine-tuned. Each way has a
process of its own. Memory is the most that was held during the first step, above what was held before it (weights,
gradients, code); times are medians of the steps after it, in seconds of all threads on a core, of which a busy machine
takes less than of the clock's. With --three-panels the model has its VAE too, whose decoder reconstructs at 224 pixels
and keeps what it needs either way.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from measuring import conditions, in_own_process, one_key_a_line, peak_bytes, resident_bytes
from shipped_way import FLOAT32, shipped_config

from triptych.models.builder import build_model

CONFIG = Path(__file__).parents[1] / "configs" / "cifar10.yaml"
IMAGES = (
    *("dataset.name=folder", "dataset.root=.", "dataset.image_size=224", "dataset.channels=3"),
    *("dataset.pad=0", "dataset.augmentation={}"),
)
PLAIN = (
    *("model.patch_size=16", "model.embed_dim=384", "model.num_heads=6", "model.num_layers=12", "model.mlp_ratio=4.0"),
    "model.patch_embedding=linear",
)
ENCODERS = ("plain", "own", "hf")


def step_cost(encoder: str, recomputed: bool, batch: int, steps: int, three_panels: bool) -> dict[str, Any]:
    """Measure the steps of one encoder, with stored or recomputed activations."""
    with tempfile.TemporaryDirectory() as folder:
        changes = {
            "plain": PLAIN,
            "own": ("model.patch_size=16", "model.embed_dim=128", "model.num_heads=4"),
            "hf": (f"model.backbone=hf:{folder}", "model.backbone_mode=finetune"),
        }[encoder]
        if encoder == "hf":
            save_vision_transformer(folder)
        switches = (f"model.activation_checkpointing={recomputed}", f"training.use_multitask_loss={three_panels}")
        config = shipped_config(CONFIG, [*IMAGES, *changes, *(switch.lower() for switch in switches)])
        torch.manual_seed(0)
        model = build_model(config, num_classes=10, pixel_mean=0.5, pixel_std=0.25).train()

    def step(images: torch.Tensor) -> float:
        began = time.process_time()
        torch.autograd.backward([part.square().mean() for part in model(images)])
        return time.process_time() - began

    step(torch.rand(1, 3, 224, 224))
    images = torch.rand(batch, 3, 224, 224)
    before = resident_bytes()
    step(images)
    extra = peak_bytes() - before
    times = [step(images) for _ in range(steps)]
    return {"peak_mib": round(extra / 2**20), "core_seconds": round(statistics.median(times), 2), "n": steps}


def save_vision_transformer(folder: str) -> None:
    """Save a ViT-S/16 with random weights to a folder in the format of the hub."""
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    sizes = ViTConfig(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536)
    ViTModel(sizes, add_pooling_layer=False).save_pretrained(folder)
    ViTImageProcessorPil().save_pretrained(folder)


def main() -> None:
    """Measure each encoder both ways, and print everything at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=ENCODERS, default=ENCODERS)
    parser.add_argument("--three-panels", action="store_true")
    given = parser.parse_args()

    report: dict[str, Any] = {"batch": given.batch, "three panels": given.three_panels}
    for encoder in given.only:
        kept, recomputed = (
            in_own_process(step_cost, encoder, recomputed, given.batch, given.steps, given.three_panels)
            for recomputed in (False, True)
        )
        report[encoder] = {
            "kept": kept,
            "recomputed": recomputed,
            "memory_ratio": round(recomputed["peak_mib"] / kept["peak_mib"], 3),
            "time_ratio": round(recomputed["core_seconds"] / kept["core_seconds"], 2),
        }
    print(one_key_a_line({**report, **conditions(shipped_config(CONFIG, [FLOAT32]))}))


if __name__ == "__main__":
    main()
