"""timm, for which a small module stands in: the library cannot be installed beside every PyTorch."""

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from triptych.models.pretrained import timm_network
from triptych.models.pretrained.backbone import BackboneDescription, BackboneDownloadError, BackboneError


class Tiny(nn.Module):
    """What timm's `create_model` gives: pooled features once there are no classes."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        assert num_classes == 0
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.blocks = nn.Sequential(*(nn.Conv2d(8, 8, 1) for _ in range(3)))

    def forward(self, images: Tensor) -> Tensor:
        return self.blocks(self.stem(images)).mean((2, 3))


@pytest.fixture(autouse=True)
def timm(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Timm as far as it is used: `is_model`, `list_models`, `create_model` and `data.resolve_model_data_config`."""
    library, data = ModuleType("timm"), ModuleType("timm.data")
    library.created = []

    def create_model(name: str, *, pretrained: bool, num_classes: int) -> nn.Module:
        library.created.append((name, pretrained))
        return Tiny(num_classes)

    data.resolve_model_data_config = lambda model: {
        "input_size": (3, 24, 32),
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.3, 0.4),
        "interpolation": "bicubic",
    }
    library.__version__ = "1.2.3"
    library.is_model = lambda name: name == "tiny_net.in1k"
    library.list_models = lambda pattern: ["tiny_net", "tiny_net_large"] if "tiny" in pattern else []
    library.create_model, library.data = create_model, data
    monkeypatch.setitem(sys.modules, "timm", library)
    monkeypatch.setitem(sys.modules, "timm.data", data)
    return library


def test_a_model_comes_with_its_weights_size_and_normalisation(timm: ModuleType) -> None:
    network, description = timm_network.fetch("tiny_net.in1k")

    assert timm.created == [("tiny_net.in1k", True)]
    assert description == BackboneDescription(
        "timm:tiny_net.in1k",
        {"name": "tiny_net.in1k", "timm_version": "1.2.3"},
        image_size=(24, 32),
        channels=3,
        image_mean=(0.5, 0.4, 0.3),
        image_std=(0.2, 0.3, 0.4),
    )
    images = torch.randn(2, 3, 24, 32)
    pooled = network.model(images)
    torch.testing.assert_close(
        network(images),
        (pooled - pooled.mean(1, keepdim=True)) / (pooled.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt(),
    )


def test_a_description_and_the_weights_make_the_same_network_without_a_download(timm: ModuleType) -> None:
    network, description = timm_network.fetch("tiny_net.in1k")

    rebuilt = timm_network.rebuild(BackboneDescription.from_plain(description.plain()))

    assert timm.created[-1] == ("tiny_net.in1k", False)
    rebuilt.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, 24, 32)
    assert torch.equal(rebuilt(images), network(images))


def test_an_unknown_name_is_reported_with_near_ones() -> None:
    with pytest.raises(BackboneError, match=r"got 'tiny_ned'; did you mean tiny_net or tiny_net_large\?"):
        timm_network.fetch("tiny_ned")
    with pytest.raises(BackboneError, match=r"got 'nothing'$"):
        timm_network.fetch("nothing")


def test_a_failed_download_is_reported_as_one(timm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(*_: object, **__: object) -> nn.Module:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(BackboneDownloadError, match=r"could not be downloaded \(no route to host\)"):
        timm_network.fetch("tiny_net.in1k")


class TransportError(Exception):
    """As httpx has one, from which its errors come."""


@pytest.mark.parametrize("error", [TransportError("timed out\ndetails"), OSError("timed out.\nTry again.")])
def test_what_ends_a_download_is_reported_in_one_line(
    timm: ModuleType, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def create_model(*_: object, **__: object) -> nn.Module:
        raise error

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(BackboneDownloadError, match=r"could not be downloaded \(timed out\)"):
        timm_network.fetch("tiny_net.in1k")


def test_a_model_without_weights_is_reported(timm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(*_: object, **__: object) -> nn.Module:
        raise RuntimeError("No pretrained weights exist for tiny_net")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(BackboneError, match="expected a model of timm with pretrained weights"):
        timm_network.fetch("tiny_net.in1k")


def test_a_version_without_the_model_is_reported(timm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    _, description = timm_network.fetch("tiny_net.in1k")
    monkeypatch.setattr(timm, "is_model", lambda name: False)
    monkeypatch.setattr(timm, "__version__", "9.9")

    with pytest.raises(BackboneError, match=r"that timm 9\.9 knows.*trained with: 1\.2\.3"):
        timm_network.rebuild(description)


def test_a_missing_library_is_reported_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)

    with pytest.raises(BackboneError, match=r"pip install timm.*hf:<name>"):
        timm_network.fetch("tiny_net.in1k")
