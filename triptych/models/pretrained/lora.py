"""LoRA: trainable low-rank updates of a frozen network's weight matrices."""

from collections.abc import Sequence

from torch import nn

from triptych.models.pretrained.backbone import BackboneError, first_line
from triptych.models.pretrained.layers import linear_layers_of

SCALE = 2.0
"""Scale of the updates for any rank: peft's `lora_alpha` is this multiple of the rank."""


def add_lora(network: nn.Module, *, rank: int, targets: Sequence[str] = ()) -> None:
    """Freeze a network and add low-rank adapters to its linear layers (Hu et al., 2022), by peft.

    Initially the updates are zero: the network's outputs are unchanged.

    Args:
        network: Changed in place; the names of its parameters change too.
        rank: Rank of the updates.
        targets: Suffixes of the layers' names; if empty, all linear layers inside the blocks.

    Raises:
        BackboneError: Peft is not installed, or there are no such layers.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise BackboneError(
            f"backbone_mode lora: expected the library peft, which is not installed ({error}). Install it: pip install "
            "'triptych[pretrained]'"
        ) from error
    names = linear_layers_of(network)
    chosen = list(targets) or names
    everything = [name for name, _ in network.named_modules()]
    found = {end for end in chosen if any(name == end or name.endswith(f".{end}") for name in everything)}
    if not chosen or set(chosen) - found:
        there = ", ".join(sorted({name.rpartition(".")[2] for name in names})) or "none; use backbone_mode finetune"
        wanted = ", ".join(end for end in chosen if end not in found) or "none named"
        raise BackboneError(
            f"lora_targets: expected ends of names of the encoder's layers, got {wanted}. Linear layers in its blocks: "
            f"{there}"
        )
    network.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=int(SCALE * rank), target_modules=chosen)
    try:
        inject_adapter_in_model(config, network)
    except ValueError as error:
        raise BackboneError(
            f"lora_targets: expected layers that LoRA can add to, got {', '.join(chosen)}: {first_line(error)}"
        ) from error
