import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, log_loss, recall_score

from triptych.metrics import classification_metrics


def predictions(seed, count, classes, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, classes, dtype=dtype, generator=generator)
    return logits.softmax(dim=1), torch.randint(classes, (count,), generator=generator)


def naive_calibration_error(probabilities, labels, bins=15):
    error = 0.0
    for number in range(bins):
        inside = [
            (max(row), row.index(max(row)) == label)
            for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True)
            if number / bins <= max(row) < (number + 1) / bins + (number == bins - 1)
        ]
        if inside:
            confidence, right = (sum(values) / len(inside) for values in zip(*inside, strict=True))
            error += len(inside) / len(labels) * abs(confidence - right)
    return error


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 60), classes=st.integers(2, 7))
def test_agrees_with_scikit_learn_and_a_naive_calibration_error(seed, count, classes):
    probabilities, labels = predictions(seed, count, classes)
    found = classification_metrics(probabilities, labels)
    predicted, every = probabilities.argmax(dim=1), list(range(classes))
    assert found.accuracy == pytest.approx((predicted == labels).double().mean().item())
    assert found.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found.nll == pytest.approx(log_loss(labels, probabilities.numpy(), labels=every))
    # torchmetrics bins in float32.
    assert found.ece == pytest.approx(naive_calibration_error(probabilities, labels), abs=1e-6)
    assert found.confusion.tolist() == confusion_matrix(labels, predicted, labels=every).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recall = recall_score(labels, predicted, labels=every, average=None, zero_division=math.nan)
    assert found.per_class_accuracy.tolist() == pytest.approx(recall.tolist(), nan_ok=True)


def test_by_hand():
    probabilities = torch.tensor([[0.8, 0.2, 0.0], [0.6, 0.4, 0.0], [0.3, 0.7, 0.0]])
    found = classification_metrics(probabilities, torch.tensor([0, 1, 1]))
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.macro_f1 == pytest.approx(2 / 3)  # both 2 / 3; of class 2 there is nothing to say
    assert found.ece == pytest.approx((0.2 + 0.6 + 0.3) / 3)
    assert found.per_class_accuracy.tolist() == pytest.approx([1, 0.5, math.nan], nan_ok=True)
    assert found.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_certainty_is_calibrated_when_right_and_finite_when_wrong():
    certain = torch.eye(3)
    assert classification_metrics(certain, torch.arange(3))[:4] == (1, 1, 0, 0)
    wrong = classification_metrics(certain, torch.tensor([1, 2, 0]))
    assert (wrong.accuracy, wrong.macro_f1, wrong.ece) == (0, 0, 1)
    assert wrong.nll == pytest.approx(708.4, abs=0.1)


def test_one_class_and_one_image_are_enough():
    found = classification_metrics(torch.ones(1, 1), torch.tensor([0]))
    assert found[:4] == (1, 1, 0, 0)
    assert (found.confusion.tolist(), found.per_class_accuracy.tolist()) == ([[1]], [1])


def test_constant_probabilities_name_the_first_class():
    found = classification_metrics(torch.full((4, 2), 0.5, dtype=torch.bfloat16), torch.tensor([0, 1, 1, 1]))
    assert found.accuracy == 0.25
    assert found.confusion.tolist() == [[1, 0], [3, 0]]


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (
            torch.tensor([[1.0, 0.0], [2.0, -1.0]]),
            [0, 1],
            "row 1 goes from -1 up and sums to 1; apply softmax to logits",
        ),
        (torch.tensor([[0.7, 0.7]]), [0], "sums to 1.4"),
        (torch.tensor([[0.5, 0.5]]), [2], "labels must lie in 0 to 1, .* they go from 2 to 2"),
        (torch.tensor([[0.5, 0.5]]), [-1], "go from -1 to -1"),
        (torch.tensor([[0.5, 0.5]]), [0, 1], "labels must be 1 integers"),
        (torch.tensor([[0.5, math.nan]]), [0], "probabilities must be finite"),
        (torch.tensor([0.5, 0.5]), [0], "probabilities must be a matrix"),
    ],
)
def test_what_is_not_a_probability_or_a_class_is_rejected(probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(probabilities, torch.tensor(labels))
