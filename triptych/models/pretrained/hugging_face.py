"""Vision models of Hugging Face transformers: loaded with their weights, or rebuilt from a description.

The library is imported only if one of its models is needed.
"""

import inspect
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.models.pretrained.backbone import Backbone, BackboneDescription, BackboneError
from triptych.models.pretrained.hugging_face_errors import in_our_words
from triptych.models.pretrained.image_processor import expected_images

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# B batch, K channels, h/w image, T tokens, D width, F features.

NOT_DESCRIBED = ("id2label", "label2id", "_name_or_path")
"""Omitted from a description: the names of the original classes, and the origin of the model."""


class HuggingFaceNetwork(nn.Module):
    """A vision model that returns one feature vector per image.

    For a transformer, it concatenates the summary (the pooled output, or else the class token) and the mean of the
    patch tokens; for a convolutional network, it is the pooled output, or else the mean of the feature map. Each of
    these parts is normalised, because heads expect features of deviation 1.

    Args:
        model: A model of the library.
    """

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.model = model
        parameters = inspect.signature(model.forward).parameters
        # Some models interpolate position embeddings if an argument is set; others always do, or have none.
        self.options = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in parameters else {}

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (B, K, h, w) to features (B, F).

        Raises:
            ValueError: The model returns neither tokens nor a feature map.
        """
        output = self.model(pixel_values=images, **self.options)
        state, pooled = output.get("last_hidden_state"), output.get("pooler_output")
        if state is None and output.get("feature_maps"):
            state = output["feature_maps"][-1]
        if not (isinstance(state, Tensor) and state.ndim in (3, 4)):
            raise ValueError("it gives neither tokens nor a map of features")
        parts = [] if pooled is None else [pooled.flatten(1)]
        if state.ndim == 3:
            before = max(state.shape[1] - self._patches(images), 0)
            if before and not parts:
                parts.append(state[:, 0])
            parts.append(state[:, before:].mean(1))
        elif not parts:
            parts.append(state.mean((2, 3)))
        return torch.cat([F.layer_norm(part, part.shape[1:]) for part in parts], dim=1)

    def _patches(self, images: Tensor) -> int:
        """Count the patches of an image: the last tokens, or all of them if there are more patches than tokens."""
        size = getattr(self.model.config, "patch_size", None) or 1
        down, across = (size, size) if isinstance(size, int) else size
        return int((images.shape[2] // down) * (images.shape[3] // across))


def fetch(name: str) -> Backbone:
    """Read a model with its weights.

    Args:
        name: A folder, or else a model on the hub, which the library downloads to its own cache.

    Raises:
        BackboneError: There is no such model, it is not an image model, or its weights or image processor are missing.
        BackboneDownloadError: It could not be downloaded.
    """
    transformers = _library()
    with in_our_words(name):
        folder = _folder(name)
        place = name if folder is None else str(folder)
        with _quiet(is_download=folder is None):
            config = _vision_config(transformers.AutoConfig.from_pretrained(place))
            kind = _kind(config, name)
            processing, _ = transformers.ImageProcessingMixin.get_image_processor_dict(place)
            # Weights of other shapes are reported below, with our own message.
            model, loading = kind.from_pretrained(
                place, config=config, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True,
                **_without_pooler(kind),
            )  # fmt: skip
        _check_weights(loading, kind=kind, name=name)
        values = json.loads(config.to_json_string(use_diff=False))
        images = expected_images(processing, config=values, name=name)
    described = {key: value for key, value in values.items() if key not in NOT_DESCRIBED}
    description = BackboneDescription(
        source=f"hf:{name}",
        config=described,
        image_size=images.size,
        channels=images.channels,
        image_mean=images.mean,
        image_std=images.std,
    )
    return Backbone(HuggingFaceNetwork(model), description)


def rebuild(description: BackboneDescription) -> nn.Module:
    """Build a described model with random weights; no file is read and nothing is downloaded.

    Raises:
        BackboneError: The library is not installed, or has no such model.
    """
    transformers = _library()
    values = dict(description.config)
    if values.get("model_type") not in transformers.CONFIG_MAPPING:
        raise BackboneError(
            f"expected a model that transformers {transformers.__version__} knows, got the type "
            f"{values.get('model_type')!r}. Install the version that the run was trained with: "
            f"{values.get('transformers_version')}"
        )
    with _quiet(is_download=False), in_our_words(description.source):
        config = transformers.CONFIG_MAPPING[values["model_type"]].from_dict(values)
        kind = _kind(config, description.source)
        return HuggingFaceNetwork(kind(config, **_without_pooler(kind)))


def _library() -> Any:  # noqa: ANN401 - a module
    try:
        import transformers
    except ImportError as error:
        raise BackboneError(
            f"hf: expected the library transformers, which cannot be imported ({error}). Install it: pip install "
            "'triptych[pretrained]'"
        ) from error
    return transformers


def _folder(name: str) -> Path | None:
    """Return the folder that a name refers to; None if it is a name on the hub, at most a user and a model.

    Raises:
        BackboneError: It can only be a folder, but does not exist or contains no model.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if not (name.startswith(("/", ".", "~")) or "\\" in name or name.count("/") > 1):
            return None
        raise BackboneError(f"expected a folder with a model, got {name}, where there is none. Check the path")
    if not (folder / "config.json").is_file():
        raise BackboneError(
            f"expected a folder with a model that transformers has saved, got {name}, which has no config.json. Save "
            "the model there: model.save_pretrained(folder)"
        )
    return folder


def _check_weights(loading: Mapping[str, Any], *, kind: Any, name: str) -> None:  # noqa: ANN401 - kind is a class
    """Reject a checkpoint that would leave weights random.

    Raises:
        BackboneError: Weights are missing, or have other shapes than in the config.
    """
    if missing := sorted(loading["missing_keys"]):
        raise BackboneError(
            f"expected a model with all weights of its {kind.__name__}, got {name}, which lacks {len(missing)}, such "
            f"as {missing[0]}. Use a model that was saved as a vision model"
        )
    if other := sorted(loading["mismatched_keys"]):
        weight, saved, wanted = other[0]
        raise BackboneError(
            f"expected weights of the shapes in config.json, got {name}, where {len(other)} differ, such as "
            f"{weight}: {tuple(saved)} instead of {tuple(wanted)}. Take both files from one model"
        )


def _vision_config(config: "PretrainedConfig") -> "PretrainedConfig":
    """Return the config of the vision tower if a model also has other towers, as CLIP and SigLIP do."""
    tower = getattr(config, "vision_config", None)
    return config if tower is None else tower


def _kind(config: "PretrainedConfig", name: str) -> Any:  # noqa: ANN401 - a class, as the library's tables have it
    from transformers import MODEL_MAPPING

    kind: Any = MODEL_MAPPING.get(type(config), None)
    if isinstance(kind, list | tuple):
        kind = kind[0]
    if kind is None or kind.main_input_name != "pixel_values":
        got = f"whose kind ({config.model_type}) reads {kind.main_input_name if kind else 'something else'}"
        raise BackboneError(
            f"expected a vision model, got {name}, {got}. Choose a ViT, DINOv2, DINOv3, SigLIP, ConvNeXt or another "
            "that looks at images"
        )
    return kind


def _without_pooler(kind: Any) -> dict[str, bool]:  # noqa: ANN401 - as above
    """Omit the pooler of models if it is optional: few checkpoints have it, and it would be random."""
    return {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind.__init__).parameters else {}


@contextmanager
def _quiet(*, is_download: bool) -> Iterator[None]:
    """Silence the library's messages about unused weights; download progress is still shown."""
    import transformers

    logging: Any = transformers.utils.logging  # untyped
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not is_download:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars and not is_download:
            logging.enable_progress_bar()
