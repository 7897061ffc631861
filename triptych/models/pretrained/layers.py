"""A network's layers in order of depth, detected from the module structure, for any library."""

from collections.abc import Iterator

from torch import nn


def blocks_of(network: nn.Module) -> dict[str, nn.Module]:
    """Find the repeated blocks of a network, by name, in order from the input.

    Blocks are the members of lists or sequences of modules of one class. A member that contains such a list itself,
    such as a stage of a ConvNeXt, is divided further.

    Example:
        >>> stem, top = nn.Conv2d(3, 4, 2), nn.Linear(4, 2)
        >>> list(blocks_of(nn.Sequential(stem, nn.ModuleList(nn.Linear(4, 4) for _ in range(3)), top)))
        ['1.0', '1.1', '1.2']
    """
    return dict(_blocks(network, ""))


def layers_of(network: nn.Module) -> list[list[nn.Parameter]]:
    """Group the trainable parameters by depth: those before the first block, then each block.

    Parameters between two blocks or after the last one belong to the block before them. Layers without trainable
    parameters are omitted.
    """
    names = list(blocks_of(network))
    layers: list[list[nn.Parameter]] = [[] for _ in range(len(names) + 1)]
    depth = 0
    for name, parameter in network.named_parameters():
        inside = (position for position, block in enumerate(names, 1) if name.startswith(f"{block}."))
        depth = next(inside, depth)
        if parameter.requires_grad:
            layers[depth].append(parameter)
    return [layer for layer in layers if layer]


def linear_layers_of(network: nn.Module) -> list[str]:
    """Return the names of the linear layers inside the blocks."""
    return [
        f"{block}.{name}" if name else block
        for block, module in blocks_of(network).items()
        for name, inner in module.named_modules()
        # Subclasses are special, such as the output layer of torch's attention, which is never called.
        if type(inner) is nn.Linear
    ]


def _blocks(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    for child_name, child in module.named_children():
        path = f"{name}.{child_name}" if name else child_name
        if not _repeats(child):
            yield from _blocks(child, path)
            continue
        for member_name, member in child.named_children():
            inner = list(_blocks(member, f"{path}.{member_name}"))
            yield from inner or [(f"{path}.{member_name}", member)]


def _repeats(module: nn.Module) -> bool:
    members = list(module.children())
    return (
        isinstance(module, nn.ModuleList | nn.Sequential)
        and len(members) > 1
        and len({type(member) for member in members}) == 1
        and any(True for _ in members[0].parameters())
    )
