"""Batch normalisation: the formula, PyTorch's own, and two processes against one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from triptych.models.vit.normalisation import BatchNormalisation
from triptych.models.vit.recomputing import recomputed

ROOT = Path(__file__).parents[3]


def features_of(*shape, seed=0):
    return 3 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def layer_of(channels, *, seed=1):
    layer = BatchNormalisation(channels)
    nn.init.normal_(layer.bias, generator=torch.Generator().manual_seed(seed))
    return layer


def test_training_standardises_each_channel_and_adds_its_shift():
    layer, features = layer_of(3), features_of(4, 3, 5, 2)
    result = layer(features)
    for channel in range(3):
        values = features[:, channel]
        expected = (values - values.mean()) / (values.var(correction=0) + 1e-5).sqrt() + layer.bias[channel]
        torch.testing.assert_close(result[:, channel], expected)


def test_evaluation_uses_running_statistics_that_are_those_of_pytorch():
    layer, peer = layer_of(3), nn.BatchNorm2d(3, affine=False)
    for seed in range(4):
        layer(features_of(4, 3, 5, 2, seed=seed))
        peer(features_of(4, 3, 5, 2, seed=seed))
    assert all(torch.equal(one, other) for one, other in zip(layer.buffers(), peer.buffers(), strict=True))
    features = features_of(6, 3, 2, 2, seed=9)
    expected = peer.eval()(features) + layer.bias[:, None, None]
    torch.testing.assert_close(layer.eval()(features), expected)
    scale, shift = layer.scale_and_shift()
    torch.testing.assert_close(features * scale[:, None, None] + shift[:, None, None], expected)
    assert (scale > 0).all()


def test_a_single_value_uses_the_running_statistics_without_changing_them():
    layer = layer_of(3)
    layer(features_of(8, 3, 2, 2))
    before = [buffer.clone() for buffer in layer.buffers()]
    alone = layer.train()(features_of(1, 3, 1, 1))
    assert torch.equal(alone, layer.eval()(features_of(1, 3, 1, 1)))
    assert all(torch.equal(one, other) for one, other in zip(before, layer.buffers(), strict=True))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_batch_is_counted_once_where_it_is_computed_again(momentum):
    kept, again = layer_of(3), layer_of(3)
    kept.momentum = again.momentum = momentum
    results = []
    for seed in range(3):
        for layer, apply in ((kept, kept), (again, lambda features: recomputed(again, features))):
            layer.zero_grad()
            features = features_of(4, 3, 5, 2, seed=seed).requires_grad_()
            output = apply(features)
            (output**3).sum().backward()
            results.append([output, features.grad, layer.bias.grad.clone(), *(b.clone() for b in layer.buffers())])
    for one, other in zip(results[::2], results[1::2], strict=True):
        assert all(torch.equal(first, second) for first, second in zip(one, other, strict=True))
    assert again.num_batches_tracked == 3


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_type_of_the_features_is_kept(dtype):
    layer = layer_of(3)
    if dtype == torch.float64:
        layer = layer.double()
    assert layer(features_of(4, 3, 5, 2).to(dtype)).dtype == dtype


WORKER = """
import os, sys
from datetime import timedelta
import torch
import torch.distributed as dist
from torch import nn
from triptych.models.vit.recomputing import recomputed
from triptych.models.vit.normalisation import BatchNormalisation

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group(
    "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=timedelta(seconds=60)
)
case = torch.load(f"{folder}/case.pt", weights_only=False)
found = []
for momentum, again in ((0.1, False), (None, False), (0.1, True)):
    network = nn.Sequential(nn.Conv2d(3, 4, 1), BatchNormalisation(4), nn.GELU(), nn.Conv2d(4, 4, 1),
                            BatchNormalisation(4)).double()
    network.load_state_dict(case["state"])
    for layer in network:
        if isinstance(layer, BatchNormalisation):
            layer.momentum = momentum
    for images, weights in zip(case["images"], case["weights"]):
        mine = slice(0, case["share"]) if rank == 0 else slice(case["share"], None)
        images = images[mine].clone().requires_grad_()
        output = recomputed(network, images) if again else network(images)
        # The loss is the sum over all images; each process has the part of its own.
        (output * weights[mine]).square().sum().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    for gradient in gradients:
        dist.all_reduce(gradient)
    found.append({"output": output.detach(), "images": images.grad, "gradients": gradients,
                  "buffers": dict(network.named_buffers())})
torch.save(found, f"{folder}/{rank}.pt")
dist.destroy_process_group()
os._exit(0)
"""


def test_two_processes_of_some_images_equal_one_of_all(tmp_path):
    """Outputs, running statistics, and gradients of images and weights; the shares differ in size."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 1), layer_of(4), nn.GELU(), nn.Conv2d(4, 4, 1), layer_of(4, seed=2)
    ).double()
    case = {
        "state": {name: value.clone() for name, value in network.state_dict().items()},
        "images": [features_of(7, 3, 4, 2, seed=seed).double() for seed in range(3)],
        "weights": [features_of(7, 4, 4, 2, seed=seed + 5).double() for seed in range(3)],
        "share": 5,
    }
    torch.save(case, tmp_path / "case.pt")
    (tmp_path / "worker.py").write_text(WORKER)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen([sys.executable, str(tmp_path / "worker.py"), str(rank), str(tmp_path)], env=environment)
        for rank in range(2)
    ]
    try:
        assert [process.wait(240) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]

    for momentum, first, second in zip((0.1, None, 0.1), *found, strict=True):
        network.load_state_dict(case["state"])
        network.zero_grad()
        for layer in (network[1], network[4]):
            layer.momentum = momentum
        for values, weights in zip(case["images"], case["weights"], strict=True):
            images = values.clone().requires_grad_()
            output = network(images)
            (output * weights).square().sum().backward()
        exact = {"atol": 1e-10, "rtol": 1e-10}
        torch.testing.assert_close(torch.cat([first["output"], second["output"]]), output, **exact)
        torch.testing.assert_close(torch.cat([first["images"], second["images"]]), images.grad, **exact)
        for one in (first, second):
            torch.testing.assert_close(one["gradients"], [p.grad for p in network.parameters()], **exact)
            torch.testing.assert_close(one["buffers"], dict(network.named_buffers()), **exact)
