"""The real command in real processes, forked from one that has imported everything: a start costs no seconds."""

import copy
import json
import multiprocessing
import os
import runpy
import shutil
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import yaml

from triptych.losses import batch_triplet

CHILD = Path(__file__).with_name("command_process.py")
PRELOADED = [
    "pytest",
    "matplotlib.backends.backend_agg",
    "sklearn.datasets",
    "sklearn.manifold",
    "torch.utils.tensorboard",
    "triptych.cli.main",
    "triptych.training.train",
]

SMALL_RUN = {
    "dataset": {"name": "digits", "batch_size": 256, "augmentation": {"rotation": 5.0, "crop_padding": 1}},
    "model": {
        **{"patch_size": 4, "embed_dim": 16, "num_heads": 2, "num_layers": 1},
        **{"latent_dim": 4, "embedding_dim": 8, "decoder_dim": 4},
    },
    "training": {"epochs": 2, "deterministic": True, "devices": 1, "accelerator": "cpu"},
    "logging": {"triplet_samples": False, "embeddings": False, "tsne_samples": 100, "log_every_n_steps": 5},
}
"""Two epochs of six steps each on the real digits."""


class Command:
    """A process that runs the command, or has run it."""

    def __init__(self, process: ForkServerProcess, log: Path) -> None:
        self.process = process
        self.log = log

    def runs(self) -> bool:
        return self.process.is_alive()

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def ends(self, code: int | None) -> str:
        """Wait for its end, expect an exit code (negative for a signal; None: any), and return the output."""
        self.process.join(300)
        printed = self.log.read_text()
        assert code is None or self.process.exitcode == code, f"exit code {self.process.exitcode}\n{printed}"
        return printed


@pytest.fixture(scope="session")
def forks() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    os.environ["OMP_NUM_THREADS"] = "1"
    return context


@pytest.fixture
def small_run() -> dict[str, dict[str, Any]]:
    """The config of a small run, to be changed."""
    return copy.deepcopy(SMALL_RUN)


@pytest.fixture(scope="session")
def quick_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config file of a run that takes a second."""
    path = tmp_path_factory.mktemp("config") / "quick.yaml"
    path.write_text(yaml.safe_dump(SMALL_RUN))
    return path


@pytest.fixture(scope="module")
def command(forks: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Command]]:
    """Start `triptych ARGUMENTS` and return it.

    `before` is Python source that the process runs first; `environment` is set in it.
    """
    logs = tmp_path_factory.mktemp("logs")
    started: list[Command] = []

    def start(*arguments: str | Path, before: str = "", environment: dict[str, str] | None = None) -> Command:
        log = logs / f"{len(started)}.txt"
        log.touch()
        given = {
            "arguments": [str(argument) for argument in arguments],
            "before": before,
            "environment": environment or {},
            "log": str(log),
        }
        process = forks.Process(target=runpy.run_path, args=(str(CHILD), {"given": given}, "command_process"))
        process.start()
        started.append(Command(process, log))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.join()


PROCESSOR = {
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
    "size": {"height": 32, "width": 32},
}
"""What the image processor of the small vision models does."""


@pytest.fixture(scope="session")
def vision_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Save a small model of Hugging Face's with random weights, by its kind, and return its folder."""
    root = tmp_path_factory.mktemp("vision_models")

    def folder_of(kind: str) -> Path:
        if not (root / kind).exists():
            save_vision_model(kind, root / kind)
        return root / kind

    return folder_of


def save_vision_model(kind: str, folder: Path) -> None:
    import torch
    import transformers

    sides = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    wide, words = {**sides, "intermediate_size": 32}, {"vocab_size": 50, "max_position_embeddings": 8}
    text = {key: wide[key] for key in wide if key not in ("image_size", "patch_size")} | words
    stages = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 2, 1]}
    name, sizes = {
        "vit": ("ViTModel", wide),
        "vit_classifier": ("ViTForImageClassification", wide),
        "grey_vit": ("ViTModel", {**wide, "num_channels": 1}),
        "dinov2": ("Dinov2Model", {**sides, "mlp_ratio": 2}),
        "dinov3": ("DINOv3ViTModel", {**wide, "num_register_tokens": 3}),
        "siglip_vision": ("SiglipVisionModel", wide),
        "siglip": ("SiglipModel", {"vision_config": wide, "text_config": text}),
        "clip": ("CLIPModel", {"vision_config": wide, "text_config": {**text, "bos_token_id": 1, "eos_token_id": 2}}),
        "convnext": ("ConvNextModel", stages),
        "resnet": ("ResNetModel", {**stages, "embedding_size": 8, "layer_type": "basic"}),
        "swin": ("SwinModel", {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 2], "num_heads": [2, 2],
                               "window_size": 4}),
        "masked": ("ViTMAEModel", wide),
        "bert": ("BertModel", {**text, "max_position_embeddings": 8}),
    }[kind]  # fmt: skip
    torch.manual_seed(0)
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    model_class = getattr(transformers, name)
    model = model_class(model_class.config_class(**sizes))
    for parameter in model.parameters():  # far from zero: what is left out must show
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    channels = sizes.get("num_channels", 3)
    processor = {
        **PROCESSOR,
        "image_mean": PROCESSOR["image_mean"][:channels],
        "image_std": PROCESSOR["image_std"][:channels],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's Chromium where it has one, else Playwright's own; in a container it has to do without a sandbox."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for path in map(shutil.which, names) if path), None)
    return {**browser_type_launch_args, "args": ["--no-sandbox"], **({"executable_path": found} if found else {})}


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code go a GPU's way, which does not read numbers that are still being computed."""
    most_positives = batch_triplet.most_positives
    # On the meta device a tensor has a shape and no numbers: reading one raises an error.
    monkeypatch.setattr(batch_triplet, "most_positives", lambda positive: most_positives(positive.to("meta")))


@pytest.fixture(scope="session")
def coloured_photos(make_checkpoint: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos/`, 24 files of two classes that look different, and `best.ckpt`, which separates them."""
    import numpy as np
    import torch
    from PIL import Image

    folder = tmp_path_factory.mktemp("coloured")
    rng = np.random.default_rng(0)
    for number in range(24):
        photo = folder / "photos" / ("cat" if number % 2 else "dog") / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        blocks = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        Image.fromarray(blocks.repeat(8, 0).repeat(8, 1)).save(photo)
    content = make_checkpoint(
        classes=("cat", "dog"),
        dataset={"name": "folder", "root": str(folder / "photos"), "image_size": 16, "channels": 3},
    )
    for name, value in content["state_dict"].items():
        if name.endswith("bias"):  # large ones would drown the images
            value.zero_()
    torch.save(content, folder / "best.ckpt")
    return folder


@pytest.fixture(scope="session")
def coloured_bundle(coloured_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of `coloured_photos` as `triptych export` writes it."""
    from triptych.artefacts.export.exporting import export
    from triptych.artefacts.loading import load

    return export(load(coloured_photos / "best.ckpt", device="cpu"), tmp_path_factory.mktemp("export") / "bundle")
