"""What a run may say: the sections of the YAML file, their keys, defaults and bounds.

Strict: unknown keys and wrong types are mistakes. `loader.py` reads a file into these and reports every mistake at
once. The text below a key, or at the head of a section, is its documentation, in editors too.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from triptych.config.combinations import combination_mistakes, flat_values
from triptych.config.image_shapes import OWN_IMAGES, image_shape
from triptych.config.mistakes import key_name

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
ProperFraction = Annotated[float, Field(ge=0.0, lt=1.0)]

Side = Annotated[int, Field(ge=8, le=1024)]

DatasetName = Literal["digits", "mnist", "fashionmnist", "cifar10", "folder", "table", "huggingface"]


class Section(BaseModel):
    """A section of the YAML file: no unknown keys, no silent conversions, finite numbers, no change after loading."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class AugmentationConfig(Section):
    """How far training images are moved and changed; zero switches a part off."""

    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    """Largest rotation, in degrees either way."""
    translate: ProperFraction = 0.0
    """Largest shift, as a fraction of the image's side."""
    scale: ProperFraction = 0.0
    """Largest change of size: 0.1 is a factor from 0.9 to 1.1."""
    shear: Annotated[float, Field(ge=0.0, lt=90.0)] = 0.0
    """Largest shear, in degrees either way."""
    perspective: ProperFraction = 0.0
    """Distortion: each corner moves inwards by at most half this fraction of the side."""
    horizontal_flip: Fraction = 0.0
    """Probability of a mirror image."""
    crop_padding: NonNegativeInt = 0
    """Random crop from an image padded by this many black pixels on each side."""
    erasing: Fraction = 0.0
    """Probability that a rectangle is erased."""
    erasing_area: ProperFraction = 0.2
    """Largest share of the image that an erased rectangle covers."""
    brightness: ProperFraction = 0.0
    """Largest relative change of brightness (RGB only, as are the next three)."""
    contrast: ProperFraction = 0.0
    """Largest relative change of contrast."""
    saturation: ProperFraction = 0.0
    """Largest relative change of saturation."""
    hue: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Largest turn of the colour circle, as a fraction of it."""


class ColumnsConfig(Section):
    """What the columns of a table are called; null: the usual names, or what the columns' types tell."""

    path: Annotated[str, Field(min_length=1)] | None = None
    """table: the images' files, below the table's folder or anywhere. Usually path."""
    image: Annotated[str, Field(min_length=1)] | None = None
    """The encoded images themselves. Usually image."""
    label: Annotated[str, Field(min_length=1)] | None = None
    """The classes, as text or numbers. Usually label."""
    split: Annotated[str, Field(min_length=1)] | None = None
    """table: train, val or test. Usually split; a table may do without it."""
    group: Annotated[str, Field(min_length=1)] | None = None
    """What must not be spread over several splits, such as one patient's images. Usually group; likewise."""


class DatasetConfig(Section):
    """Which images, and how they are fed. The keys from image_size to columns are for images of your own."""

    name: DatasetName
    """A known data set, or images of your own: a folder, a table (CSV or Parquet), a Hugging Face data set."""
    root: Annotated[str, Field(min_length=1)] | None = None
    """Of a known data set: a folder to look in first; then TRIPTYCH_DATA, the system's copies, the cache, a download.
    Of your own images: the folder; the table; or the folder or hub name of a Hugging Face data set."""
    image_size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] | None = None
    """Pixels that every image is brought to: a side, or height and width."""
    channels: Annotated[int, Field(ge=1, le=16)] | None = None
    """1 makes images grey, 3 coloured; others are for .npy files. null: as most images are."""
    fit: Literal["letterbox", "crop", "stretch"] = "letterbox"
    """How an image of other proportions fills the size: whole with black bars, cut at the middle, or distorted."""
    test_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Share of the images kept for the test, stratified, where no test images are given."""
    on_corrupt: Literal["error", "skip"] = "error"
    """Images that cannot be decoded: end with a list of them, or go on without them and list them."""
    columns: ColumnsConfig = ColumnsConfig()
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Images in a training step, per process."""
    sampling: Literal["shuffle", "class_balanced", "pk"] = "shuffle"
    """An epoch is every image once; or about as many images, all classes equally often (class_balanced); or that in
    batches of P classes with K images each, for mined triplets (pk). The latter two help rare classes, and may cost
    accuracy where classes stay as uneven."""
    classes_per_batch: Annotated[int, Field(ge=2)] | None = None
    """pk: P, per process. null: as many as fill the batch with images_per_class; if that is null too, all, or as many
    as have 4 images each."""
    images_per_class: Annotated[int, Field(ge=2)] | None = None
    """pk: K; a class that has fewer gives all. null: batch_size / classes_per_batch."""
    num_workers: NonNegativeInt = 2
    """Threads that decode image files; 0 decodes in the main thread. Batches need none: they are gathered."""
    validation_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    """Share of the images held out of training, stratified, for validation, where no validation images are given."""
    pad: NonNegativeInt = 0
    """Black pixels added on every side: 2 turns 28x28 into 32x32, which three halvings divide evenly."""
    augmentation: AugmentationConfig = AugmentationConfig()
    unaugmented_share: Fraction = 0.0
    """Share of the run's epochs, the last ones, in which images come as they are: the model settles on what it will be
    asked, and nearest neighbours are found more surely."""

    @property
    def title(self) -> str:
        """What people call the images: the data set's name, or that of the folder or file that holds your own."""
        if self.name not in OWN_IMAGES or not self.root:
            return self.name
        place = Path(self.root).expanduser().resolve()
        return (place.stem if self.name == "table" else place.name) or self.name

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image before padding.

        Raises:
            ValueError: `channels` of your own images is null: `open_images` finds the number.
        """
        shape = image_shape(self.name, self.image_size, self.channels)
        assert shape is not None, "your own images have a size: the combinations are checked"
        channels, height, width = shape
        if channels is None:
            raise ValueError("dataset.channels is null until the images are looked at; open them, or give a number")
        return channels, height, width

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as the model sees it, padding included; raises as `stored_shape`."""
        channels, height, width = self.stored_shape
        return channels, height + 2 * self.pad, width + 2 * self.pad


class ModelConfig(Section):
    """The encoder and what stands on it. The keys from patch_size to dropout shape Triptych's own encoder alone."""

    backbone: Annotated[str, Field(min_length=1)] | None = None
    """A pretrained encoder in place of Triptych's own: `hf:` and the name or folder of a vision model of Hugging Face
    transformers, or `timm:` and a name. It sees images in its own size, channels and normalisation."""
    backbone_mode: Literal["frozen", "finetune", "lora"] = "frozen"
    """A pretrained encoder stays as it is, learns on, or learns small additions to its matrices (Hu et al., 2022)."""
    backbone_image_size: PositiveInt | None = None
    """Pixels along the shorter side of what a pretrained encoder sees; null: the size that it was trained with."""
    cache_features: bool = True
    """What a frozen encoder says of the images is computed once and kept on disk, where nothing is augmented."""
    lora_rank: PositiveInt = 8
    """lora: rank of the additions."""
    lora_targets: list[Annotated[str, Field(min_length=1)]] = []
    """lora: ends of the names of the linear layers to which something is added; none: all that lie in blocks."""
    activation_checkpointing: bool = False
    """Keep little between forward and backward pass and compute it again: a fraction of the memory for a third more
    time. The weights come out the same."""

    patch_size: PositiveInt = 4
    """Side of the square of pixels that becomes one token; the total stride of the patch embedding."""
    patch_embedding: Literal["convolutional", "linear"] = "convolutional"
    """A small stack of strided convolutions, or the plain linear map of ViT."""
    embed_dim: PositiveInt = 96
    """Width of the tokens."""
    num_heads: PositiveInt = 3
    """Attention heads; they divide embed_dim."""
    num_layers: PositiveInt = 4
    """Transformer blocks."""
    mlp_ratio: PositiveFloat = 2.0
    """Hidden width of a block's MLP, in units of embed_dim."""
    depthwise_convolution: bool = False
    """A 3x3 depthwise convolution over the token grid in every block. It brought nothing
    to models of up to three blocks; of deeper ones it is not measured."""
    dropout: ProperFraction = 0.0
    """Probability of dropping an activation in the blocks."""
    latent_dim: PositiveInt = 32
    """Dimensions of the VAE's latent."""
    embedding_dim: PositiveInt = 64
    """Dimensions of the L2-normalised embedding."""
    decoder_dim: PositiveInt = 32
    """Channels of the decoder's widest layer at the image's finest scale."""
    principal_components: bool = True
    """Encoder and decoder add what they learn to the principal components of the training images."""


class SchedulerConfig(Section):
    """How the learning rate moves: PyTorch's names and arguments, in epochs, applied smoothly at every step."""

    name: Literal["StepLR", "CosineAnnealingLR", "LinearLR", "ExponentialLR", "none"] = "LinearLR"
    """PyTorch's scheduler, or none: a constant rate."""
    step_size: PositiveInt = 10
    """StepLR: epochs between two drops."""
    gamma: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """StepLR, ExponentialLR: factor of a drop, or of an epoch."""
    T_max: PositiveInt | None = None
    """CosineAnnealingLR: epochs to the minimum; null: the run's epochs after the warm-up."""
    eta_min: NonNegativeFloat = 0.0
    """CosineAnnealingLR: the lowest learning rate, an absolute rate."""
    total_iters: PositiveInt | None = None
    """LinearLR: epochs to the end; null: the run's epochs after the warm-up."""
    end_factor: Fraction = 0.0
    """LinearLR: factor of the learning rate that is reached in a straight line, and kept."""
    warmup_epochs: NonNegativeFloat = 0.0
    """Epochs, fewer than the run's, over which the rate climbs from near zero, before any scheduler."""


class EarlyStoppingConfig(Section):
    """When to give up on a better validation accuracy."""

    enabled: bool = True
    """Stop when patience runs out (true), or train every epoch (false)."""
    patience: PositiveInt = 10
    """Validation epochs without improvement that are waited for."""
    min_delta: NonNegativeFloat = 0.0
    """Smallest gain in accuracy that counts as improvement."""


class TrainingConfig(Section):
    """How the model learns."""

    epochs: PositiveInt = 10
    """Passes over the training images."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the weights, the validation split, the order of the images, their augmentation and triplets."""
    deterministic: bool = False
    """The same weights for the same seed on the same machine, bit for bit."""

    optimizer: Literal["muon", "adamw"] = "muon"
    """Muon on the hidden matrices of Triptych's own encoder and AdamW on the rest, or AdamW on everything."""
    learning_rate: PositiveFloat = 2e-3
    """AdamW's rate."""
    muon_learning_rate: PositiveFloat = 0.05
    """Muon's rate, for the hidden matrices."""
    backbone_learning_rate: PositiveFloat | None = None
    """AdamW's rate for a pretrained encoder that learns; null: 5e-5 to fine-tune it, 5e-4 for LoRA."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Fine-tuning: each layer learns at this multiple of the rate of the layer above it; 0.65 to 0.9 is usual."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled decay of matrices and filters, as a multiple of the learning rate; vectors are not decayed."""
    scheduler: SchedulerConfig = SchedulerConfig()
    averaged_share: Fraction = 0.0
    """Share of the run's steps, the last ones, whose weights are averaged: the average is validated, kept and tested in
    place of the latest weights, and the best epoch is one of these."""
    gradient_clip_norm: NonNegativeFloat = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    accumulate_gradients: PositiveInt = 1
    """Batches whose gradients are averaged into one step."""

    use_multitask_loss: bool = True
    """Three panels (true), or triplet and classification alone (false)."""
    triplet_weight: NonNegativeFloat = 1.0
    """Multi-task mode: weight of the triplet loss."""
    classification_weight: NonNegativeFloat = 1.0
    """Multi-task mode: weight of the classification loss."""
    reconstruction_weight: NonNegativeFloat = 0.3
    """Multi-task mode: weight of the reconstruction loss, a mean per pixel."""
    kl_weight: NonNegativeFloat = 0.3
    """Multi-task mode: weight of the KL divergence, a sum over latent dimensions; with the gaussian reconstruction loss
    that sum is divided by the pixels and channels of an image, as the reconstruction loss is a mean over them. Beside
    mse and bce, whose scale is that of the pixels, about a thousandth is usual."""
    classifier_weight: NonNegativeFloat = 1.0
    """Simple mode: weight of the classification loss beside the triplet loss."""
    margin: PositiveFloat | None = 0.2
    """Triplet margin, in Euclidean distance between unit embeddings; null is the soft margin (not for semihard)."""
    triplet_mining: Literal["random", "all", "semihard", "hard"] = "semihard"
    """Triplets drawn by TripletDataset (random), or mined in the batch."""
    label_smoothing: ProperFraction = 0.0
    """Share of the target's probability that is spread evenly over all classes."""
    loss_balancing: Literal["fixed", "uncertainty"] = "fixed"
    """Multi-task mode: the weights alone, or times learned uncertainties (Kendall et al., 2018) of all losses but the
    KL divergence and the gaussian reconstruction loss, which has its own."""
    reconstruction_loss: Literal["mse", "bce", "gaussian"] = "gaussian"
    """Of a pixel in [0, 1]: squared error, binary cross-entropy, or half the logarithm of the squared error, which has
    one scale on all data sets."""
    kl_free_bits: NonNegativeFloat = 0.0
    """Nats per latent dimension that cost nothing."""
    kl_warmup_epochs: NonNegativeFloat = 0.0
    """Epochs, no more than the run's, over which the KL weight climbs from zero."""

    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    on_collapse: Literal["warn", "stop", "ignore"] = "warn"
    """When embeddings or latent collapse: say so and go on, end the run after that epoch, or do not watch at all."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """What the run computes on; auto is the best that the machine has."""
    devices: PositiveInt | Literal["auto"] = "auto"
    """Processes per machine; auto is what torchrun or SLURM has started, else every GPU, else one CPU process."""
    num_nodes: PositiveInt = 1
    """Machines that train together, each with the same number of processes."""
    strategy: Literal["auto", "ddp"] = "auto"
    """How processes share the work; auto is ddp as soon as there are several."""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"
    """Width of the floating-point numbers; 16-mixed needs a GPU. auto is bf16 where a few steps, timed before the run,
    are at least 1.15 times as fast with it, else 32 bits. Nothing is timed in deterministic runs, with several
    processes, or for a compiled model on a GPU: these take bf16 on a GPU that has it. A resumed run keeps its own."""
    compile: Literal["auto"] | bool = "auto"
    """Let PyTorch's compiler speed up the model. It takes a minute or more at the start: auto compiles on a CUDA GPU in
    runs of 5,000 steps and more, and never on a CPU or an Apple GPU, where it rarely pays, nor in deterministic runs.
    true needs Triton on a GPU, or a C++ compiler on a CPU."""


class EvaluationConfig(Section):
    """What the trained model is asked beside its test set."""

    holdout_classes: list[Annotated[int, Field(ge=0)] | Annotated[str, Field(min_length=1)]] = []
    """Classes, by number or name, that training never sees; retrieval among their test images alone is reported."""


class LoggingConfig(Section):
    """What a run shows and keeps."""

    tensorboard: bool = True
    """Curves, hyper-parameters and reconstructions for TensorBoard."""
    log_every_n_steps: PositiveInt = 20
    """Steps between two points of a training curve."""
    triplet_samples: bool = True
    """Draw triplet_samples_<dataset>.png."""
    embeddings: bool = True
    """Draw embeddings_tsne.png."""
    tsne_samples: Annotated[int, Field(ge=100)] = 2000
    """Test images on the map of embeddings."""
    reconstruction_every: NonNegativeInt = 1
    """Validation epochs between two pictures of reconstructions in TensorBoard; 0 draws none."""


class RunConfig(Section):
    """One run, whole."""

    dataset: DatasetConfig
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    logging: LoggingConfig = LoggingConfig()

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        mistakes = combination_mistakes(flat_values(self.model_dump()))
        if mistakes:
            raise ValueError("\n".join(f"{key_name(mistake.keys[0])}: {mistake.text}" for mistake in mistakes))
        return self


def nested_schema(section: type[Section] = RunConfig) -> dict[str, Any]:
    """Return the JSON schema of a section, the sections within it written in their places instead of referred to."""
    schema = section.model_json_schema()
    schema.pop("$defs", None)
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            schema["properties"][name] = nested_schema(field.annotation)
    return schema
