"""Triptych: image embeddings from labelled images, by three tasks in one latent space. The public names live here."""

from typing import TYPE_CHECKING, Any

from triptych.version import __version__

if TYPE_CHECKING:
    from triptych.artefacts.embeddings import Embeddings, Matches, nearest
    from triptych.artefacts.loading import load, load_model
    from triptych.artefacts.model import Classification, TrainedModel
    from triptych.config import load_config
    from triptych.data.batches.triplets import TripletDataset
    from triptych.data.builder import read_images
    from triptych.losses import BatchTripletLoss, KLDivergenceLoss, MultiTaskLoss, ReconstructionLoss, TripletLoss
    from triptych.models import ImageEncoder, ImageTransformer, MultiTaskImageTransformer
    from triptych.training.checkpoints.loading import load_lightning_model
    from triptych.training.modules import ImageTransformerLightning, MultiTaskImageTransformerLightning

# Where each public name lives: imported when it is first asked for, so that `import triptych` is quick.
PUBLIC = {
    "BatchTripletLoss": "triptych.losses",
    "Classification": "triptych.artefacts.model",
    "Embeddings": "triptych.artefacts.embeddings",
    "ImageEncoder": "triptych.models",
    "ImageTransformer": "triptych.models",
    "ImageTransformerLightning": "triptych.training.modules",
    "KLDivergenceLoss": "triptych.losses",
    "Matches": "triptych.artefacts.embeddings",
    "MultiTaskImageTransformer": "triptych.models",
    "MultiTaskImageTransformerLightning": "triptych.training.modules",
    "MultiTaskLoss": "triptych.losses",
    "ReconstructionLoss": "triptych.losses",
    "TrainedModel": "triptych.artefacts.model",
    "TripletDataset": "triptych.data.batches.triplets",
    "TripletLoss": "triptych.losses",
    "load": "triptych.artefacts.loading",
    "load_config": "triptych.config",
    "load_lightning_model": "triptych.training.checkpoints.loading",
    "load_model": "triptych.artefacts.loading",
    "nearest": "triptych.artefacts.embeddings",
    "read_images": "triptych.data.builder",
}

__all__ = [
    "BatchTripletLoss",
    "Classification",
    "Embeddings",
    "ImageEncoder",
    "ImageTransformer",
    "ImageTransformerLightning",
    "KLDivergenceLoss",
    "Matches",
    "MultiTaskImageTransformer",
    "MultiTaskImageTransformerLightning",
    "MultiTaskLoss",
    "ReconstructionLoss",
    "TrainedModel",
    "TripletDataset",
    "TripletLoss",
    "__version__",
    "load",
    "load_config",
    "load_lightning_model",
    "load_model",
    "nearest",
    "read_images",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a public name can be anything
    if name not in PUBLIC:
        raise AttributeError(f"module 'triptych' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
