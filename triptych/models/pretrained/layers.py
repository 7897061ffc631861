"""A network's layers in the order of depth, found by its shape, whichever library it is from."""

from collections.abc import Iterator

from torch import nn


def blocks_of(network: nn.Module) -> dict[str, nn.Module]:
    """Find the blocks that a network repeats, by name, from the pixels on.

    They are the members of lists or sequences of modules of one class each; a member that holds such a list itself, as
    a stage of a ConvNeXt does, is divided by its own.

    Example:
        >>> stem, top = nn.Conv2d(3, 4, 2), nn.Linear(4, 2)
        >>> list(blocks_of(nn.Sequential(stem, nn.ModuleList(nn.Linear(4, 4) for _ in range(3)), top)))
        ['1.0', '1.1', '1.2']
    """
    return dict(_blocks(network, ""))


def layers_of(network: nn.Module) -> list[list[nn.Parameter]]:
    """Divide the parameters that learn by depth: what lies before the first block, then each block.

    What lies between two blocks or after the last one goes with the block before it. Layers without parameters that
    learn are left out.
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
    """Name the linear layers inside the blocks."""
    return [
        f"{block}.{name}" if name else block
        for block, module in blocks_of(network).items()
        for name, inner in module.named_modules()
        # A subclass has a task of its own, as the output of torch's attention, which is never called.
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
