"""Impossible combinations: the ones that are possible pass, and what a message suggests is possible."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from triptych.config import KNOWN_DATASETS, RunConfig
from triptych.config.combinations import invalid_combinations
from triptych.config.validation import find_invalid


def texts(**values):
    return [error.text for error in invalid_combinations({k.replace("__", "."): v for k, v in values.items()})]


@settings(deadline=None, max_examples=200)
@given(embed_dim=st.integers(1, 300), num_heads=st.integers(1, 40))
def test_a_width_is_possible_exactly_when_heads_and_four_divide_it(embed_dim, num_heads):
    errors = texts(model__embed_dim=embed_dim, model__num_heads=num_heads)
    assert len(errors) == (embed_dim % num_heads != 0) + (embed_dim % 4 != 0)
    if embed_dim % num_heads:
        widths, heads = re.fullmatch(r".*; expected embed_dim (.*), or num_heads (.*)", errors[0]).groups()
        for width in map(int, re.findall(r"\d+", widths)):
            assert texts(model__embed_dim=width, model__num_heads=num_heads) == []
        for suggested in map(int, re.findall(r"\d+", heads)):
            assert embed_dim % suggested == 0


@settings(deadline=None, max_examples=200)
@given(dataset=st.sampled_from(sorted(KNOWN_DATASETS)), pad=st.integers(0, 20), patch_size=st.integers(1, 80))
def test_patches_are_possible_exactly_when_they_fill_the_padded_image(dataset, pad, patch_size):
    def judge(pad, patch_size):
        return texts(dataset__name=dataset, dataset__pad=pad, model__patch_size=patch_size)

    _, height, width = KNOWN_DATASETS[dataset].shape
    fits = (height + 2 * pad) % patch_size == 0 and (width + 2 * pad) % patch_size == 0
    errors = judge(pad, patch_size)
    assert len(errors) == (not fits)
    if not fits:
        suggestion = errors[0].partition("; expected ")[2]
        sizes, _, better_pad = suggestion.partition(", or dataset.pad ")
        for size in map(int, re.findall(r"\d+", sizes)):
            assert judge(pad, size) == []
        if better_pad:
            assert judge(int(better_pad), patch_size) == []


def test_vast_numbers_are_judged_at_once():
    assert len(texts(model__embed_dim=4 * 10**15, model__num_heads=7)) == 1
    assert len(texts(dataset__name="mnist", dataset__pad=10**15, model__patch_size=9)) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"dataset": {"name": "cifar10", "augmentation": {"hue": 0.1, "brightness": 0.2, "crop_padding": 31}}},
        {"dataset": {"name": "digits", "pad": 4, "augmentation": {"crop_padding": 15}}},
        {"dataset": {"name": "mnist"}, "training": {"epochs": 1, "scheduler": {"T_max": 50, "step_size": 50}}},
        {"dataset": {"name": "mnist"}, "training": {"epochs": 1, "scheduler": {"warmup_epochs": 0.5}}},
        {"dataset": {"name": "mnist"}, "training": {"epochs": 1, "kl_warmup_epochs": 1}},
        {"dataset": {"name": "mnist"}, "training": {"use_multitask_loss": False, "kl_warmup_epochs": 99}},
        {"dataset": {"name": "mnist"}, "training": {"use_multitask_loss": False, "classifier_weight": 0}},
        {"dataset": {"name": "mnist"}, "training": {"use_multitask_loss": False, "triplet_mining": "hard"}},
        {"dataset": {"name": "mnist"}, "training": {"margin": None, "triplet_mining": "hard"}},
        {"dataset": {"name": "mnist"}, "training": {"triplet_weight": 0, "classification_weight": 0, "kl_weight": 0}},
        {"dataset": {"name": "mnist"}, "training": {"num_nodes": 4, "strategy": "ddp", "devices": 2}},
        {"dataset": {"name": "mnist"}, "training": {"accelerator": "cpu", "precision": "bf16-mixed"}},
        {"dataset": {"name": "mnist"}, "model": {"patch_size": 28, "patch_embedding": "linear"}},
        {"dataset": {"name": "mnist", "sampling": "class_balanced"}, "training": {"triplet_mining": "random"}},
        {"dataset": {"name": "mnist", "sampling": "pk", "batch_size": 4}, "training": {"triplet_mining": "hard"}},
        {"dataset": {"name": "mnist", "sampling": "pk", "images_per_class": 128}},
    ],
    ids=str,
)
def test_what_is_unusual_but_possible_passes(values):
    assert RunConfig.model_validate(values)


def test_simple_mode_does_not_look_at_the_weights_of_the_multitask_mode():
    weights = dict.fromkeys(["triplet_weight", "classification_weight", "reconstruction_weight", "kl_weight"], 0.0)
    assert RunConfig.model_validate(
        {"dataset": {"name": "mnist"}, "training": {"use_multitask_loss": False, **weights}}
    )
    with pytest.raises(ValidationError, match="all weights of the multi-task loss are 0"):
        RunConfig.model_validate({"dataset": {"name": "mnist"}, "training": weights})


def test_a_config_made_in_python_is_checked_for_all_combinations_too():
    values = {"dataset": {"name": "mnist"}, "model": {"patch_size": 5, "embed_dim": 66}, "training": {"margin": None}}
    with pytest.raises(ValidationError) as caught:
        RunConfig.model_validate(values)
    for key in ["model.patch_size: ", "model.embed_dim: ", "training.margin: "]:
        assert key in str(caught.value)


@settings(deadline=None, max_examples=200)
@given(
    classes=st.none() | st.integers(2, 40),
    images=st.none() | st.integers(2, 40),
    batch_size=st.integers(2, 90),
    sampling=st.sampled_from(["shuffle", "class_balanced", "pk"]),
)
def test_classes_and_images_are_possible_exactly_when_they_fit_the_batch(classes, images, batch_size, sampling):
    errors = texts(
        dataset__classes_per_batch=classes, dataset__images_per_class=images,
        dataset__batch_size=batch_size, dataset__sampling=sampling,
    )  # fmt: skip
    if sampling != "pk":
        assert len(errors) == (classes is not None) + (images is not None)
        assert all(text.endswith("expected null, or dataset.sampling pk") for text in errors)
    elif classes and images:
        assert bool(errors) == (classes * images != batch_size)
    else:
        assert bool(errors) == (max(4, 2 * (classes or images or 2)) > batch_size)


def test_what_is_mined_in_the_batch_is_for_mined_triplets():
    (error,) = texts(dataset__sampling="pk", training__triplet_mining="random")
    assert error.endswith("expected sampling class_balanced or shuffle, or triplet_mining semihard, hard or all")
    for sampling, mining in (("pk", "all"), ("class_balanced", "random"), ("shuffle", "random")):
        assert texts(dataset__sampling=sampling, training__triplet_mining=mining) == []


def test_a_check_is_left_out_while_one_of_its_values_is_unknown():
    assert texts(model__embed_dim=96) == []
    assert texts(training__margin=None) == []
    assert len(texts(training__margin=None, training__triplet_mining="semihard")) == 1


# Pretrained encoders


def errors_of(**sections):
    values = {"dataset": {"name": "mnist"}, **sections}
    return {".".join(error.keys[0]): error.text for error in find_invalid(values)}


@pytest.mark.parametrize("backbone", ["hf:facebook/dinov2-small", "hf:./folder", "timm:resnet18.a1_in1k", None])
def test_a_backbone_names_its_library_and_its_model(backbone):
    assert errors_of(model={"backbone": backbone}) == {}


@pytest.mark.parametrize("backbone", ["facebook/dinov2-small", "hf:", "hf: ", "keras:vgg", ":vit"])
def test_a_backbone_without_either_is_rejected_with_the_forms_there_are(backbone):
    text = errors_of(model={"backbone": backbone})["model.backbone"]
    assert "expected hf: and the name or folder" in text
    assert ("did you mean 'hf:facebook/dinov2-small'?" in text) == (":" not in backbone)


@pytest.mark.parametrize("mode", ["finetune", "lora"])
def test_only_a_backbone_is_fine_tuned(mode):
    assert list(errors_of(model={"backbone_mode": mode})) == ["model.backbone_mode"]
    assert errors_of(model={"backbone_mode": mode, "backbone": "hf:a"}) == {}


@pytest.mark.parametrize("mode", ["frozen", "lora"])
def test_only_fine_tuning_decays_by_layer(mode):
    model = {"backbone": "hf:a", "backbone_mode": mode}
    text = errors_of(model=model, training={"layer_decay": 0.7})["training.layer_decay"]
    assert text.endswith("expected 1, or model.backbone_mode finetune")
    assert errors_of(model={**model, "backbone_mode": "finetune"}, training={"layer_decay": 0.7}) == {}


def test_beside_a_backbone_the_shape_of_the_own_encoder_is_not_looked_at():
    shape = {"patch_size": 5, "embed_dim": 17, "num_heads": 3}
    assert set(errors_of(model=shape)) == {"model.patch_size", "model.embed_dim"}
    assert errors_of(model={**shape, "backbone": "hf:a"}) == {}
