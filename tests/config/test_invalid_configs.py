"""Invalid configs, each of which must get one message that a person can act on."""

from pathlib import Path

import pytest

from triptych.config import load_config
from triptych.errors import ConfigError

MNIST = "dataset:\n  name: mnist\n"
SECTIONS = "(dataset, model, training, evaluation, logging)"
DIGITS = "dataset:\n  name: digits\n"
CIFAR10 = "dataset:\n  name: cifar10\n"
SEMIHARD_WITHOUT_MARGIN = (
    "margin null selects the soft margin, and triplet_mining semihard needs a number, because its negatives lie "
    "within the margin; expected a margin such as 0.2, or triplet_mining random, all or hard"
)
NOTHING_TO_LEARN = (
    "all weights of the multi-task loss are 0; expected at least one of triplet_weight, classification_weight, "
    "reconstruction_weight and kl_weight above 0"
)

UNKNOWN_KEYS = {
    "similar key of the section": (
        MNIST + "training:\n  epoch: 5\n",
        "line 4: training.epoch: unknown key, with value 5; did you mean 'epochs'?",
    ),
    "other case": (
        MNIST + "training:\n  scheduler:\n    t_max: 5\n",
        "line 5: training.scheduler.t_max: unknown key, with value 5; did you mean 'T_max'?",
    ),
    "hyphen": (
        MNIST + "training:\n  learning-rate: 0.1\n",
        "line 4: training.learning-rate: unknown key, with value 0.1; did you mean 'learning_rate'?",
    ),
    "space": (
        MNIST + "training:\n  weight decay: 0.1\n",
        "line 4: training.'weight decay': unknown key, with value 0.1; did you mean 'weight_decay'?",
    ),
    "initials": (
        MNIST + "training:\n  lr: 0.1\n",
        "line 4: training.lr: unknown key, with value 0.1; did you mean 'learning_rate'?",
    ),
    "key of another section": (
        MNIST + "model:\n  learning_rate: 0.1\n",
        "line 4: model.learning_rate: unknown key, with value 0.1; that key belongs to section training",
    ),
    "key of a section within": (
        MNIST + "training:\n  gamma: 0.1\n",
        "line 4: training.gamma: unknown key, with value 0.1; that key belongs to section training.scheduler",
    ),
    "key without a section": (
        MNIST + "epochs: 5\n",
        "line 3: epochs: unknown key, with value 5; that key belongs to section training",
    ),
    "dotted key": (
        MNIST + "training.epochs: 5\n",
        "line 3: 'training.epochs': unknown key, with value 5; that key belongs to section training",
    ),
    "misspelt key of another section": (
        MNIST + "model:\n  tripletmining: all\n",
        "line 4: model.tripletmining: unknown key, with value 'all'; did you mean training.triplet_mining?",
    ),
    "misspelt section": (
        MNIST + "trainig:\n  epochs: 5\n",
        "line 3: trainig: unknown key, with value {'epochs': 5}; did you mean 'training'?",
    ),
    "section in the wrong place": (
        MNIST + "augmentation:\n  rotation: 5\n",
        "line 3: augmentation: unknown key, with value {'rotation': 5}; that key belongs to section dataset",
    ),
    "nothing similar": (
        MNIST + "training:\n  early_stopping:\n    xyz: 5\n",
        "line 5: training.early_stopping.xyz: unknown key, with value 5; expected one of enabled, patience, min_delta",
    ),
    "number as key": (
        MNIST + "7: 5\n",
        "line 3: 7: unknown key, with value 5; expected one of dataset, model, training, evaluation, logging",
    ),
    "empty key": (
        MNIST + "'': 5\n",
        "line 3: '': unknown key, with value 5; expected one of dataset, model, training, evaluation, logging",
    ),
    "terminal codes in a key": (
        MNIST + '"\\e[31m": 5\n',
        "line 3: '\\x1b[31m': unknown key, with value 5; expected one of dataset, model, training, evaluation, logging",
    ),
    "very long value": (
        MNIST + "xyz: " + "v" * 1000 + "\n",
        "line 3: xyz: unknown key, with value 'vvvvvvvvvvvvvvvvvvvvvvvvvvv...vvvvvvvvvvvvvvvvvvvvvvvvvvvv'; "
        "expected one of dataset, model, training, evaluation, logging",
    ),
}

MISSING_AND_REPEATED = {
    "no dataset": (
        "training:\n  epochs: 5\n",
        "dataset.name: missing; expected one of digits, mnist, fashionmnist, cifar10, folder, table, huggingface",
    ),
    "dataset without name": (
        "# a run\ndataset:\n  pad: 2\n",
        "line 2: dataset.name: missing; expected one of digits, mnist, fashionmnist, cifar10, folder, "
        "table, huggingface",
    ),
    "key twice": (
        MNIST + "training:\n  epochs: 5\n  seed: 1\n  epochs: 6\n",
        "line 6: training.epochs: expected each key once; got it again with '6', after line 4; remove one",
    ),
    "section twice": (
        MNIST + "training:\n  epochs: 5\ntraining:\n  seed: 6\n",
        "line 5: training: expected each key once; got it again, after line 3; remove one",
    ),
}

WRONG_VALUES = {
    "a class that is neither a number nor a name": (
        MNIST + "evaluation:\n  holdout_classes: [7, 1.5]\n",
        "line 4: evaluation.holdout_classes: expected a list of: an integer of at least 0 or non-empty text; got 1.5",
    ),
    "one class instead of a list": (
        MNIST + "evaluation:\n  holdout_classes: 7\n",
        "line 4: evaluation.holdout_classes: expected a list of: an integer of at least 0 or non-empty text; got 7",
    ),
    "word that is no option": (
        MNIST + "training:\n  triplet_mining: semi-hard\n",
        "line 4: training.triplet_mining: expected one of random, all, semihard, hard; got 'semi-hard'; "
        "did you mean 'semihard'?",
    ),
    "unknown data set": (
        "dataset:\n  name: imagenet\n",
        "line 2: dataset.name: expected one of digits, mnist, fashionmnist, cifar10, folder, "
        "table, huggingface; got 'imagenet'",
    ),
    "data set in capitals": (
        "dataset:\n  name: Fashion-MNIST\n",
        "line 2: dataset.name: expected one of digits, mnist, fashionmnist, cifar10, folder, "
        "table, huggingface; got 'Fashion-MNIST'; "
        "did you mean 'fashionmnist'?",
    ),
    "beginning of an option": (
        MNIST + "training:\n  scheduler:\n    name: cosine\n",
        "line 5: training.scheduler.name: expected one of StepLR, CosineAnnealingLR, LinearLR, ExponentialLR, none; "
        "got 'cosine'; "
        "did you mean 'CosineAnnealingLR'?",
    ),
    "null for the option none": (
        MNIST + "training:\n  scheduler:\n    name:\n",
        "line 5: training.scheduler.name: expected one of StepLR, CosineAnnealingLR, LinearLR, ExponentialLR, none; "
        "got null; did you mean 'none'?",
    ),
    "number for an option": (
        MNIST + "training:\n  precision: 16\n",
        "line 4: training.precision: expected one of auto, 32-true, bf16-mixed, 16-mixed; got 16; "
        "did you mean '16-mixed'?",
    ),
    "text for a switch with a third way": (
        MNIST + "training:\n  compile: yes please\n",
        "line 4: training.compile: expected auto or true or false; got 'yes please'",
    ),
    "number for a switch with a third way": (
        MNIST + "training:\n  compile: 1\n",
        "line 4: training.compile: expected auto or true or false; got 1; write true",
    ),
    "text for an integer": (
        MNIST + "training:\n  epochs: many\n",
        "line 4: training.epochs: expected an integer of at least 1; got 'many'",
    ),
    "quoted integer": (
        MNIST + "training:\n  epochs: '3'\n",
        "line 4: training.epochs: expected an integer of at least 1; got '3'; write 3",
    ),
    "float for an integer": (
        MNIST + "training:\n  epochs: 3.0\n",
        "line 4: training.epochs: expected an integer of at least 1; got 3.0; write 3",
    ),
    "fraction for an integer": (
        MNIST + "training:\n  epochs: 3.5\n",
        "line 4: training.epochs: expected an integer of at least 1; got 3.5",
    ),
    "octal of YAML 1.1": (
        MNIST + "training:\n  epochs: 010\n",
        "line 4: training.epochs: expected an integer of at least 1; got '010'; write 10",
    ),
    "sexagesimal of YAML 1.1": (
        MNIST + "training:\n  epochs: 1:30\n",
        "line 4: training.epochs: expected an integer of at least 1; got '1:30'",
    ),
    "true for an integer": (
        MNIST + "training:\n  epochs: true\n",
        "line 4: training.epochs: expected an integer of at least 1; got true",
    ),
    "null for an integer": (
        MNIST + "training:\n  epochs:\n",
        "line 4: training.epochs: expected an integer of at least 1; got null; remove the key to use its default",
    ),
    "list for an integer": (
        MNIST + "training:\n  epochs: [1, 2]\n",
        "line 4: training.epochs: expected an integer of at least 1; got [1, 2]",
    ),
    "mapping for an integer": (
        MNIST + "training:\n  epochs: {max: 2}\n",
        "line 4: training.epochs: expected an integer of at least 1; got {'max': 2}",
    ),
    "zero where one is least": (
        MNIST + "training:\n  epochs: 0\n",
        "line 4: training.epochs: expected an integer of at least 1; got 0",
    ),
    "seed beyond 32 bits": (
        MNIST + "training:\n  seed: 4294967296\n",
        "line 4: training.seed: expected an integer of at least 0 and below 4294967296; got 4294967296",
    ),
    "negative rate": (
        MNIST + "training:\n  learning_rate: -1e-3\n",
        "line 4: training.learning_rate: expected a number above 0; got -0.001",
    ),
    "quoted number": (
        MNIST + "training:\n  learning_rate: '3e-4'\n",
        "line 4: training.learning_rate: expected a number above 0; got '3e-4'; write 0.0003",
    ),
    "true for a number": (
        MNIST + "training:\n  learning_rate: true\n",
        "line 4: training.learning_rate: expected a number above 0; got true",
    ),
    "infinity": (
        MNIST + "training:\n  learning_rate: .inf\n",
        "line 4: training.learning_rate: expected a number above 0, finite; got inf",
    ),
    "number too large for a float": (
        MNIST + "training:\n  learning_rate: 1e999\n",
        "line 4: training.learning_rate: expected a number above 0, finite; got inf",
    ),
    "not a number": (
        MNIST + "training:\n  label_smoothing: .nan\n",
        "line 4: training.label_smoothing: expected a number of at least 0 and below 1, finite; got nan",
    ),
    "fraction of one": (
        MNIST + "  validation_fraction: 1.0\n",
        "line 3: dataset.validation_fraction: expected a number above 0 and below 1; got 1.0",
    ),
    "angle beyond half a turn": (
        MNIST + "  augmentation:\n    rotation: 200\n",
        "line 4: dataset.augmentation.rotation: expected a number of at least 0 and at most 180; got 200",
    ),
    "yes for true": (
        MNIST + "logging:\n  tensorboard: yes\n",
        "line 4: logging.tensorboard: expected true or false; got 'yes'; write true",
    ),
    "zero for false": (
        MNIST + "logging:\n  tensorboard: 0\n",
        "line 4: logging.tensorboard: expected true or false; got 0; write false",
    ),
    "number for a folder": (
        MNIST + "  root: 7\n",
        "line 3: dataset.root: expected non-empty text or null; got 7",
    ),
    "empty folder": (
        MNIST + "  root: ''\n",
        "line 3: dataset.root: expected non-empty text or null; got ''",
    ),
    "neither number nor null": (
        MNIST + "training:\n  margin: soft\n",
        "line 4: training.margin: expected a number above 0 or null; got 'soft'",
    ),
    "neither integer nor auto": (
        MNIST + "training:\n  devices: atuo\n",
        "line 4: training.devices: expected an integer of at least 1 or auto; got 'atuo'; did you mean 'auto'?",
    ),
    "number for a section": (
        MNIST + "logging: 5\n",
        "line 3: logging: expected a section of keys (tensorboard, log_every_n_steps, triplet_samples, embeddings, "
        "tsne_samples, reconstruction_every); got 5",
    ),
    "list for a section": (
        MNIST + "training:\n  early_stopping:\n    - patience: 3\n",
        "line 4: training.early_stopping: expected a section of keys (enabled, patience, min_delta); "
        "got [{'patience': 3}]",
    ),
    "nothing in a section": (
        MNIST + "training:\n  early_stopping:\n",
        "line 4: training.early_stopping: expected a section of keys (enabled, patience, min_delta); got null; "
        "remove the key to use its default",
    ),
    "own images without a place": (
        "dataset:\n  name: folder\n  image_size: 64\n",
        "line 2: dataset.name: folder needs dataset.root; expected the folder of images; got null",
    ),
    "own images without a size": (
        "dataset:\n  name: table\n  root: photos.csv\n",
        "line 2: dataset.name: table needs dataset.image_size; expected the size in pixels that images are resized to, "
        "such as 64, or [height, width]; got null",
    ),
    "another size for a known data set": (
        MNIST + "  image_size: 64\n",
        "line 3: dataset.image_size: expected null, because the images of mnist keep their own; got 64",
    ),
    "other channels for a known data set": (
        MNIST + "  channels: 3\n",
        "line 3: dataset.channels: expected null, because the images of mnist keep their own; got 3",
    ),
    "patches that do not fill own images": (
        "dataset:\n  name: folder\n  root: photos\n  image_size: [30, 40]\nmodel:\n  patch_size: 8\n",
        "line 6: model.patch_size: patch_size 8 does not divide the 30x40 images of folder; expected "
        "patch_size 1, 2, 5 or 10",
    ),
    "colour in own grey images": (
        "dataset:\n  name: folder\n  root: photos\n  image_size: 64\n  channels: 1\n  augmentation:\n    hue: 0.1\n",
        "line 7: dataset.augmentation.hue: expected 0, because the images of folder are grey; got 0.1",
    ),
    "text for the data set": (
        "dataset: mnist\n",
        "line 1: dataset: expected a section of keys (name, root, image_size, channels, fit, test_fraction, "
        "split_seed, corrections, white_level, background, on_corrupt, columns, batch_size, sampling, "
        "classes_per_batch, images_per_class, num_workers, validation_fraction, pad, augmentation, "
        "unaugmented_share); got 'mnist'",
    ),
}

IMPOSSIBLE_COMBINATIONS = {
    "heads that do not divide the width": (
        MNIST + "model:\n  embed_dim: 64\n  num_heads: 6\n",
        "line 4: model.embed_dim: embed_dim 64 is not divisible by num_heads 6; "
        "expected embed_dim 60 or 72, or num_heads 1, 2, 4, 8, 16, 32 or 64",
    ),
    "heads that do not divide the default width": (
        MNIST + "model:\n  num_heads: 5\n",
        "line 4: model.num_heads: embed_dim 96 is not divisible by num_heads 5; "
        "expected embed_dim 80 or 100, or num_heads 1, 2, 3, 4, 6, 8, 12 or 16",
    ),
    "width without a quarter": (
        MNIST + "model:\n  embed_dim: 90\n",
        "line 4: model.embed_dim: embed_dim 90 is not divisible by 4, as the position encoding of rows and columns "
        "requires; expected embed_dim 88 or 92",
    ),
    "patches that do not divide the image": (
        MNIST + "model:\n  patch_size: 5\n",
        "line 4: model.patch_size: patch_size 5 does not divide the 28x28 images of mnist; "
        "expected patch_size 1, 2, 4, 7, 14 or 28, or dataset.pad 1",
    ),
    "patches that do not divide the padded image": (
        MNIST + "  pad: 1\nmodel:\n  patch_size: 4\n",
        "line 5: model.patch_size: patch_size 4 does not divide the 30x30 images of mnist (28x28 and dataset.pad 1); "
        "expected patch_size 1, 2, 3, 5, 6, 10, 15 or 30, or dataset.pad 0",
    ),
    "padding that the default patches do not divide": (
        DIGITS + "  pad: 1\n",
        "line 3: dataset.pad: patch_size 4 does not divide the 10x10 images of digits (8x8 and dataset.pad 1); "
        "expected patch_size 1, 2, 5 or 10, or dataset.pad 0",
    ),
    "patches larger than the image": (
        DIGITS + "model:\n  patch_size: 64\n",
        "line 4: model.patch_size: patch_size 64 does not divide the 8x8 images of digits; expected patch_size 1, 2, "
        "4 or 8",
    ),
    "brightness of grey images": (
        MNIST + "  augmentation:\n    brightness: 0.2\n",
        "line 4: dataset.augmentation.brightness: expected 0, because the images of mnist are grey; got 0.2",
    ),
    "contrast of grey images": (
        "dataset:\n  name: fashionmnist\n  augmentation:\n    contrast: 0.2\n",
        "line 4: dataset.augmentation.contrast: expected 0, because the images of fashionmnist are grey; got 0.2",
    ),
    "saturation of grey images": (
        DIGITS + "  augmentation:\n    saturation: 0.2\n",
        "line 4: dataset.augmentation.saturation: expected 0, because the images of digits are grey; got 0.2",
    ),
    "hue of grey images": (
        MNIST + "  augmentation:\n    hue: 0.2\n",
        "line 4: dataset.augmentation.hue: expected 0, because the images of mnist are grey; got 0.2",
    ),
    "crop beyond the image": (
        CIFAR10 + "  augmentation:\n    crop_padding: 32\n",
        "line 4: dataset.augmentation.crop_padding: expected less than the image side of cifar10, 32, so that "
        "every crop overlaps the image; got 32",
    ),
    "warm-up as long as the run": (
        MNIST + "training:\n  epochs: 5\n  scheduler:\n    warmup_epochs: 5\n",
        "line 6: training.scheduler.warmup_epochs: warmup_epochs 5 is not shorter than training.epochs 5; "
        "expected a shorter warm-up or more epochs",
    ),
    "KL warm-up longer than the run": (
        MNIST + "training:\n  epochs: 5\n  kl_warmup_epochs: 5.5\n",
        "line 5: training.kl_warmup_epochs: kl_warmup_epochs 5.5 is longer than training.epochs 5, so that "
        "kl_weight is never reached; expected a shorter warm-up or more epochs",
    ),
    "nothing to learn": (
        MNIST
        + "training:\n  triplet_weight: 0\n  classification_weight: 0\n  reconstruction_weight: 0\n  kl_weight: 0\n",
        f"line 4: training.triplet_weight: {NOTHING_TO_LEARN}",
    ),
    "semi-hard without a margin": (
        MNIST + "training:\n  triplet_mining: semihard\n  margin: null\n",
        f"line 5: training.margin: {SEMIHARD_WITHOUT_MARGIN}",
    ),
    "soft margin beside the default mining": (
        MNIST + "training:\n  margin: null\n",
        f"line 4: training.margin: {SEMIHARD_WITHOUT_MARGIN}",
    ),
    "half precision on a CPU": (
        MNIST + "training:\n  accelerator: cpu\n  precision: 16-mixed\n",
        "line 5: training.precision: precision 16-mixed does not run on accelerator cpu; "
        "expected bf16-mixed, 32-true or auto",
    ),
}

NOT_YAML = {
    "tab": (
        "dataset:\n\tname: mnist\n",
        "line 2, column 1: cannot be read as YAML: while scanning for the next token, found character '\\t' that "
        "cannot "
        "start any token; indent with spaces, not with tabs",
    ),
    "wrong indent": (
        "dataset:\n    name: mnist\n  pad: 2\n",
        "line 3, column 3: cannot be read as YAML: while parsing a block mapping, expected <block end>, "
        "but found '<block mapping start>'",
    ),
    "colon too many": (
        MNIST + "training: epochs: 5\n",
        "line 3, column 17: cannot be read as YAML: mapping values are not allowed here",
    ),
    "open quote": (
        "dataset:\n  name: 'mnist\n",
        "line 3, column 1: cannot be read as YAML: while scanning a quoted scalar, found unexpected end of stream",
    ),
    "open bracket": (
        "dataset: {name: mnist\n",
        "line 2, column 1: cannot be read as YAML: while parsing a flow mapping, expected ',' or '}', "
        "but got '<stream end>'",
    ),
    "alias of nothing": (
        "dataset:\n  name: *best\n",
        "line 2, column 9: cannot be read as YAML: found undefined alias 'best'",
    ),
    "object of Python": (
        "dataset:\n  name: !!python/object/apply:os.getcwd []\n",
        "line 2, column 9: cannot be read as YAML: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object/apply:os.getcwd'",
    ),
    "tag that does not fit": (
        MNIST + "training:\n  epochs: !!int many\n",
        "line 4, column 11: cannot be read as YAML: 'many' cannot be read as int",
    ),
    "integer with too many digits": (
        MNIST + "training:\n  epochs: " + "9" * 5000 + "\n",
        "line 4, column 11: cannot be read as YAML: '999999999999999999999999999...9999999999999999999999999999' "
        "cannot "
        "be read as int",
    ),
    "list as key": (
        MNIST + "? [1, 2]\n: 5\n",
        "line 3, column 3: cannot be read as YAML: expected a key that is a single word",
    ),
    "merge of a number": (
        MNIST + "training:\n  <<: 5\n",
        "line 4, column 7: cannot be read as YAML: while constructing a mapping, expected a mapping or list of "
        "mappings "
        "for merging, but found scalar",
    ),
    "two documents": (
        MNIST + "---\n" + MNIST,
        "line 3, column 1: cannot be read as YAML: expected a single document in the stream, but found another "
        "document",
    ),
    "control character": (
        "dataset:\n  name: mn\x00ist\n",
        "line 2, column 11: cannot be read as YAML: the character '\\x00' is not allowed in YAML; is this a text file?",
    ),
    "endless nesting": (
        "dataset: " + "[" * 1000,
        "line 1, column 1: cannot be read as YAML: the brackets or sections are nested too deeply",
    ),
    "empty file": (
        "",
        f"line 1: expected sections at the top {SECTIONS}; got nothing but comments or blanks",
    ),
    "comments alone": (
        "# dataset: mnist\n",
        f"line 1: expected sections at the top {SECTIONS}; got nothing but comments or blanks",
    ),
    "list at the top": (
        "- dataset\n- model\n",
        f"line 1: expected sections at the top {SECTIONS}; got ['dataset', 'model']",
    ),
    "word at the top": (
        "mnist\n",
        f"line 1: expected sections at the top {SECTIONS}; got 'mnist'",
    ),
}

INVALID = UNKNOWN_KEYS | MISSING_AND_REPEATED | WRONG_VALUES | IMPOSSIBLE_COMBINATIONS | NOT_YAML


def test_there_are_at_least_fifty_invalid_configs():
    assert len(INVALID) >= 50
    assert len({text for text, _ in INVALID.values()}) == len(INVALID)


@pytest.mark.parametrize(("text", "line"), INVALID.values(), ids=INVALID.keys())
def test_an_invalid_config_gets_one_message_with_place_key_expectation_and_value(tmp_path: Path, text, line):
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: 1 error\n  {line}"
