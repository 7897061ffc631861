"""The schema of a config: the sections of the YAML file, their keys, defaults and bounds.

Unknown keys and wrong types are errors, all of which `loader.py` reports together. The text below a key, or at the head
of a section, is its documentation, which editors show too.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from triptych.config.combinations import flat_values, invalid_combinations
from triptych.config.datasets import KNOWN_DATASETS, OWN_IMAGES, image_shape
from triptych.config.loss_terms import LOSS_TERMS
from triptych.config.report import key_name

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
ProperFraction = Annotated[float, Field(ge=0.0, lt=1.0)]

Side = Annotated[int, Field(ge=8, le=1024)]
Level = Annotated[int, Field(ge=0, le=255)]

if TYPE_CHECKING:
    DatasetName = str
else:  # type checkers do not know a literal of a table's keys
    DatasetName = Literal[(*KNOWN_DATASETS, *OWN_IMAGES)]


class Section(BaseModel):
    """A section of the YAML file: no unknown keys, no silent conversions, finite numbers, immutable after loading."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    removed_keys: ClassVar[Mapping[str, object]] = {}
    """Keys of earlier versions, with the value that is ignored; any other value is an error."""

    @model_validator(mode="before")
    @classmethod
    def _without_removed_keys(cls, values: Any) -> Any:  # noqa: ANN401 # anything that a file contains
        if not isinstance(values, Mapping):
            return values
        removed = {key for key, value in cls.removed_keys.items() if key in values and values[key] == value}
        return {key: value for key, value in values.items() if key not in removed} if removed else values


class AugmentationConfig(Section):
    """Random changes of the training images; 0 disables a change."""

    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    """Largest rotation in either direction, in degrees."""
    translate: ProperFraction = 0.0
    """Largest shift, as a fraction of the image side."""
    scale: ProperFraction = 0.0
    """Largest change of size: 0.1 scales by a factor between 0.9 and 1.1."""
    shear: Annotated[float, Field(ge=0.0, lt=90.0)] = 0.0
    """Largest shear in either direction, in degrees."""
    perspective: ProperFraction = 0.0
    """Perspective distortion: each corner moves inwards by at most half this fraction of the image side."""
    horizontal_flip: Fraction = 0.0
    """Share of the epochs in which an image is flipped (left and right exchanged): 0.5 flips it every other epoch."""
    crop_padding: NonNegativeInt = 0
    """Random crop of the original size from an image padded by this many pixels on each side."""
    erasing: Fraction = 0.0
    """Probability that a random rectangle is erased."""
    erasing_area: ProperFraction = 0.2
    """Largest area of the erased rectangle, as a fraction of the image."""
    brightness: ProperFraction = 0.0
    """Largest relative change of brightness. RGB images only, as contrast, saturation and hue."""
    contrast: ProperFraction = 0.0
    """Largest relative change of contrast."""
    saturation: ProperFraction = 0.0
    """Largest relative change of saturation."""
    hue: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Largest rotation of the hue, as a fraction of the colour circle."""


class ColumnsConfig(Section):
    """Names of the columns of a table. null: the usual name, otherwise the column of a suitable type."""

    path: Annotated[str, Field(min_length=1)] | None = None
    """table: image files, as absolute paths or relative to the folder of the table. Usually path."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """Encoded images. Usually image."""
    label: Annotated[str, Field(min_length=1)] | None = None
    """Classes, as text or numbers. Usually label."""
    split: Annotated[str, Field(min_length=1)] | None = None
    """table: train, val or test. Usually split; optional."""
    group: Annotated[str, Field(min_length=1)] | None = None
    """Groups of images that belong together, such as one patient's: a group is never split across train, val and test.
    Usually group; optional."""


class DatasetConfig(Section):
    """The images, and how batches are drawn from them. The keys from image_size to columns are for your own images."""

    name: DatasetName
    """A known data set, or the kind of your own images: folder, table (CSV or Parquet) or huggingface (a data set)."""
    root: Annotated[str, Field(min_length=1)] | None = None
    """Your own images: the folder, the table file, or the folder or hub name of a Hugging Face data set. A known data
    set: a folder to search first, before TRIPTYCH_DATA, system folders and the cache. Missing data are downloaded."""
    image_size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] | None = None
    """Size in pixels that images are resized to: one number for squares, or [height, width]."""
    channels: Annotated[int, Field(ge=1, le=16)] | None = None
    """Colour channels: 1 converts images to grey, 3 to RGB; others are for .npy files. null: those of most images."""
    fit: Literal["letterbox", "crop", "stretch"] = "letterbox"
    """Resizing of images with another aspect ratio: add black bars (letterbox), cut off the edges (crop), or distort
    (stretch)."""
    test_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Fraction of the images held out for testing, stratified by class, if the data have no test split."""
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed that chooses the test and validation images where none are given; training.seed does not change them."""
    corrections: Annotated[str, Field(min_length=1)] | None = None
    """A CSV file with the columns path (or split and index) and label, which changes the labels of images, or drops
    them where the label is empty, without touching the images or their table. The splits stay as they are."""
    white_level: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The value of 16-bit images that becomes white. null: 255, 1023, 4095, 16383 or 65535, as the images need."""
    background: Literal["white", "black"] | Annotated[list[Level], Field(min_length=3, max_length=3)] = "white"
    """The colour behind transparent pixels, by name or as [red, green, blue] from 0 to 255."""
    on_corrupt: Literal["error", "skip"] = "error"
    """Images that cannot be decoded: stop and list them (error), or leave them out and list them (skip)."""
    columns: ColumnsConfig = ColumnsConfig()
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Images per batch and process."""
    sampling: Literal["shuffle", "class_balanced", "pk"] = "shuffle"
    """An epoch: every image once (shuffle); as many images, with all classes equally frequent (class_balanced); or the
    same in batches of P classes with K images each, for triplet mining (pk). The last two help rare classes; they can
    reduce accuracy on test data that are as imbalanced as the training data."""
    classes_per_batch: Annotated[int, Field(ge=2)] | None = None
    """pk: P, classes per batch and process. null: batch_size / images_per_class; if that is null too, all classes, at
    most batch_size / 4."""
    images_per_class: Annotated[int, Field(ge=2)] | None = None
    """pk: K, images per class in a batch, or all of a smaller class. null: batch_size / classes_per_batch."""
    num_workers: NonNegativeInt = 2
    """Threads that decode image files; 0: the main thread. Batches are gathered from decoded images and need none."""
    validation_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Fraction of the images held out for validation, stratified by class, if the data have no validation split."""
    pad: NonNegativeInt = 0
    """Black pixels added on every side: 2 turns 28x28 into 32x32, which patches of 4, 8 and 16 divide."""
    augmentation: AugmentationConfig = AugmentationConfig()
    unaugmented_share: Fraction = 0.0
    """Fraction of the epochs, the last ones, without augmentation: embeddings of the training images stabilise, which
    improves retrieval."""

    @property
    def title(self) -> str:
        """Name of the images in output: the data set, or the folder or file of your own images."""
        if self.name not in OWN_IMAGES or not self.root:
            return self.name
        place = Path(self.root).expanduser().resolve()
        return (place.stem if self.name == "table" else place.name) or self.name

    @property
    def background_colour(self) -> tuple[int, int, int]:
        """Red, green and blue of `background`, from 0 to 255."""
        if isinstance(self.background, str):
            return (255, 255, 255) if self.background == "white" else (0, 0, 0)
        red, green, blue = self.background
        return red, green, blue

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image before padding.

        Raises:
            ValueError: `channels` of your own images is null: `open_images` determines it.
        """
        shape = image_shape(self.name, self.image_size, self.channels)
        assert shape is not None, "your own images have a size: the combinations are checked"
        channels, height, width = shape
        if channels is None:
            raise ValueError("dataset.channels is null until the images are opened; open them, or set a number")
        return channels, height, width

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the model input, with padding; raises as `stored_shape`."""
        channels, height, width = self.stored_shape
        return channels, height + 2 * self.pad, width + 2 * self.pad


class ModelConfig(Section):
    """The encoder and its heads. The keys from patch_size to dropout apply to Triptych's own encoder only."""

    backbone: Annotated[str, Field(min_length=1)] | None = None
    """A pretrained encoder instead of Triptych's own: `hf:` and the name or folder of a vision model of Hugging Face
    transformers, or `timm:` and a model name. Images are converted to its size, channels and normalisation."""
    backbone_mode: Literal["frozen", "finetune", "lora"] = "frozen"
    """What is trained of a pretrained encoder: nothing, all weights, or low-rank updates (lora; Hu et al., 2022)."""
    backbone_image_size: PositiveInt | None = None
    """Input size of a pretrained encoder: the shorter side in pixels. null: the size that it was trained with."""
    cache_features: bool = True
    """Compute the features of a frozen encoder once and keep them on disk; only without augmentation."""
    lora_rank: PositiveInt = 8
    """lora: rank of the updates."""
    lora_targets: list[Annotated[str, Field(min_length=1)]] = []
    """lora: linear layers to update, by the ends of their names. Empty: all linear layers in blocks."""
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass instead of storing them: a fraction of the memory for a third more
    time. The weights are the same."""

    patch_size: PositiveInt = 4
    """Side in pixels of the square that becomes one token: the total stride of the patch embedding."""
    patch_embedding: Literal["convolutional", "linear"] = "convolutional"
    """Whitened pixels and convolutional stages with max-pooling and batch normalisation, or ViT's linear projection."""
    embed_dim: PositiveInt = 96
    """Width of the tokens and of the last convolutional stage; earlier stages are narrower."""
    num_heads: PositiveInt = 3
    """Attention heads; embed_dim must be a multiple."""
    num_layers: NonNegativeInt = 1
    """Transformer blocks; with 0 the tokens are those of the patch embedding."""
    mlp_ratio: PositiveFloat = 2.0
    """Hidden width of the MLPs, as a multiple of embed_dim."""
    dropout: ProperFraction = 0.0
    """Dropout probability in the transformer blocks."""
    mirror_averaging: bool = False
    """Evaluate each image together with its left-right mirror image and average the features: both then have the same
    embedding. More accurate where handedness has no meaning (dataset.augmentation.horizontal_flip), for twice the time
    of evaluation and search; training costs the same."""
    latent_dim: PositiveInt = 32
    """Learned dimensions of the VAE latent, used by the embedding."""
    embedding_dim: PositiveInt = 64
    """Dimensions of the L2-normalised embedding."""
    decoder_dim: PositiveInt = 32
    """Channels of the decoder at full image resolution."""
    principal_components: NonNegativeInt = 32
    """Fixed dimensions of the latent beside the learned ones: principal components of the training images, which the
    decoder refines. With them no gradient passes from pixels to the encoder; 0 is a plain VAE."""


class SchedulerConfig(Section):
    """The learning-rate schedule: PyTorch's names and arguments, in epochs, applied at every step."""

    name: Literal["StepLR", "CosineAnnealingLR", "LinearLR", "ExponentialLR", "none"] = "LinearLR"
    """A scheduler of PyTorch, or none for a constant learning rate."""
    step_size: PositiveInt = 10
    """StepLR: epochs between two decays."""
    gamma: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """StepLR: factor of each decay. ExponentialLR: factor per epoch."""
    T_max: PositiveInt | None = None
    """CosineAnnealingLR: epochs until the minimum. null: all epochs after the warm-up."""
    eta_min: NonNegativeFloat = 0.0
    """CosineAnnealingLR: the minimum learning rate, an absolute value."""
    total_iters: PositiveInt | None = None
    """LinearLR: epochs until the final learning rate. null: all epochs after the warm-up."""
    end_factor: Fraction = 0.0
    """LinearLR: the final learning rate, as a fraction of the initial one."""
    warmup_epochs: NonNegativeFloat = 0.0
    """Epochs of linear warm-up from almost zero, before any scheduler; fewer than training.epochs."""


class EarlyStoppingConfig(Section):
    """Early stopping on validation accuracy; the closing epochs of a run are trained in any case."""

    enabled: bool = True
    """When patience is exhausted, skip to the closing epochs of the run (true), or train all epochs (false). Closing
    epochs are those of averaged_share and of unaugmented_share, and a tenth where the learning rate decays until the
    end; a run without any stops."""
    patience: PositiveInt = 10
    """Epochs without improvement before training stops."""
    min_delta: NonNegativeFloat = 0.0
    """Smallest increase of accuracy that counts as an improvement."""


class _Optimisation(Section):
    """The keys above the weights of the losses."""

    epochs: PositiveInt = 10
    """Passes over the training images."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the weights, the validation split, the order of the images, augmentation and triplets."""
    deterministic: bool = False
    """Use deterministic algorithms: the same seed gives identical weights on the same machine, bit for bit."""

    optimizer: Literal["muon", "adamw"] = "muon"
    """muon: Muon for the hidden matrices of Triptych's own encoder, AdamW for the rest. adamw: AdamW for everything."""
    learning_rate: PositiveFloat = 2e-3
    """Learning rate of AdamW."""
    muon_learning_rate: PositiveFloat = 0.05
    """Learning rate of Muon, for convolution filters; matrices beside them take a quarter of it, alone all of it."""
    backbone_learning_rate: PositiveFloat | None = None
    """Learning rate of AdamW for a pretrained encoder. null: 5e-5 for finetune, 5e-4 for lora."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """finetune: learning rate of each layer relative to the layer above it. Usually 0.65 to 0.9."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled weight decay of matrices and filters, as a multiple of the learning rate; vectors are not decayed."""
    scheduler: SchedulerConfig = SchedulerConfig()
    averaged_share: Fraction = 0.0
    """Fraction of the steps, the last ones, whose weights are averaged. The average, which generalises better, is
    validated, saved and tested instead of the latest weights, and the newest average is the best epoch."""
    gradient_clip_norm: NonNegativeFloat = 1.0
    """Largest gradient norm; larger gradients are scaled down. 0 disables clipping."""
    accumulate_gradients: PositiveInt = 1
    """Batches whose gradients are averaged for one optimiser step. Each batch has its own batch-normalisation
    statistics and mined triplets."""

    use_multitask_loss: bool = True
    """Triplet, classification and VAE losses (true), or triplet and classification only, the simple mode (false)."""


if TYPE_CHECKING:
    _LossWeights = _Optimisation
else:
    _LossWeights = create_model(
        "_LossWeights",
        __base__=_Optimisation,
        **{
            f"{name}_weight": (NonNegativeFloat, Field(default=term.weight, description=term.comment))
            for name, term in LOSS_TERMS.items()
        },
    )


class TrainingConfig(_LossWeights):
    """Optimisation, losses and hardware."""

    removed_keys: ClassVar[Mapping[str, object]] = {"loss_balancing": "fixed"}

    classifier_weight: NonNegativeFloat = 1.0
    """Simple mode: weight of the classification loss; the triplet loss has weight 1."""
    margin: PositiveFloat | None = 0.2
    """Margin of the triplet loss: a distance between unit vectors. null: the soft margin (not for semihard)."""
    triplet_mining: Literal["random", "all", "semihard", "hard"] = "semihard"
    """Triplets drawn from all images (random), or mined in each batch: all of them, semi-hard or hardest negatives."""
    label_smoothing: ProperFraction = 0.0
    """Probability that the targets spread evenly over all classes."""
    reconstruction_loss: Literal["mse", "bce", "gaussian"] = "gaussian"
    """Loss per pixel in [0, 1]: squared error, binary cross-entropy, or half the logarithm of the mean squared error
    (gaussian), whose scale does not depend on the data set."""
    kl_free_bits: NonNegativeFloat = 0.0
    """KL divergence per latent dimension that is not penalised, in nats."""
    kl_warmup_epochs: NonNegativeFloat = 0.0
    """Epochs over which kl_weight rises linearly from zero; at most training.epochs."""

    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    on_collapse: Literal["warn", "stop", "ignore"] = "warn"
    """If embeddings or latent collapse: warn, stop after that epoch, or do not check."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """Hardware to train on. auto: the fastest of this machine."""
    devices: PositiveInt | Literal["auto"] = "auto"
    """Processes per machine. auto: those of torchrun or SLURM, otherwise one per GPU, otherwise one on the CPU."""
    num_nodes: PositiveInt = 1
    """Machines, each with the same number of processes."""
    strategy: Literal["auto", "ddp"] = "auto"
    """Parallelisation over processes. auto: ddp if there are several."""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """Floating-point precision of training; 16-mixed needs a GPU. auto: bf16 on a GPU that supports it, and, for models
    of at least 10 MFLOPs per image, on a CPU that does (AMX, AVX-512, ARM); otherwise 32 bits. It depends on hardware
    and model only, and a resumed run keeps its own. Validation and test always use 32 bits."""
    compile: Literal["auto"] | bool = "auto"
    """Let PyTorch's compiler speed up the model. It takes a minute or more at the start: auto compiles on a CUDA GPU in
    runs of 5,000 steps and more, and never on a CPU or an Apple GPU, where it rarely pays, nor in deterministic runs.
    true needs Triton on a GPU, or a C++ compiler on a CPU."""

    def loss_weights(self) -> dict[str, float]:
        """Return the weights of the losses of the mode, by name."""
        weights: dict[str, float] = {
            name: getattr(self, f"{name}_weight")
            for name, term in LOSS_TERMS.items()
            if self.use_multitask_loss or not term.needs_decoder
        }
        if not self.use_multitask_loss:
            weights |= {"triplet": 1.0, "classification": self.classifier_weight}
        return {name: weight for name, weight in weights.items() if weight or LOSS_TERMS[name].weight}


class EvaluationConfig(Section):
    """Evaluation beyond the test set."""

    holdout_classes: list[Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)]] = []
    """Held-out classes, by number or name: unseen in training. Retrieval among their test images is reported."""


class LoggingConfig(Section):
    """Logs and pictures of a run."""

    tensorboard: bool = True
    """Write curves, hyper-parameters and reconstructions for TensorBoard."""
    log_every_n_steps: PositiveInt = 20
    """Steps between two points of the training curves."""
    triplet_samples: bool = True
    """Draw triplet_samples_<dataset>.png."""
    embeddings: bool = True
    """Draw embeddings_tsne.png."""
    tsne_samples: Annotated[int, Field(ge=100)] = 2000
    """Test images in the map of embeddings."""
    reconstruction_every: NonNegativeInt = 1
    """Epochs between two pictures of reconstructions in TensorBoard. 0: none."""


class RunConfig(Section):
    """The complete config of a run."""

    dataset: DatasetConfig
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    logging: LoggingConfig = LoggingConfig()

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if found := invalid_combinations(flat_values(self.model_dump())):
            raise ValueError("\n".join(f"{key_name(invalid.keys[0])}: {invalid.text}" for invalid in found))
        return self


def nested_schema(section: type[Section] = RunConfig) -> dict[str, Any]:
    """Return the JSON schema of a section, with nested sections inlined instead of referenced."""
    schema = section.model_json_schema()
    schema.pop("$defs", None)
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            schema["properties"][name] = nested_schema(field.annotation)
    return schema
