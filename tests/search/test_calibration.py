import numpy as np
import pytest

from triptych.errors import SearchError
from triptych.search.calibration import Calibration, LabelledVectors, calibrate, false_matches


def split(images: int, classes: int, seed: int, *, spread: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(classes).standard_normal((classes, 8))
    labels = rng.integers(0, classes, images)
    vectors = centres[labels] + spread * rng.standard_normal((images, 8))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels


def false_match_rate(vectors: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    """The definition, in two loops."""
    reached = pairs = 0
    for i in range(len(labels)):
        for j in range(i):
            if labels[i] != labels[j]:
                pairs += 1
                reached += float(vectors[i] @ vectors[j]) >= threshold
    return reached / pairs


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1, 0.5])
def test_the_threshold_is_the_least_that_keeps_the_rate_on_validation_pairs(rate: float) -> None:
    vectors, labels = split(150, 5, 0)
    test = LabelledVectors(*split(60, 5, 1))

    threshold = calibrate(LabelledVectors(vectors, labels), test, false_match_rate=rate).threshold

    kept = false_match_rate(vectors, labels, threshold)
    impostors = np.sort([vectors[i] @ vectors[j] for i in range(150) for j in range(i) if labels[i] != labels[j]])
    lower = impostors[impostors < threshold][-1]
    assert kept <= rate
    assert false_match_rate(vectors, labels, lower) > rate


def test_the_rates_are_measured_on_the_test_images() -> None:
    val, (vectors, labels) = LabelledVectors(*split(150, 5, 0)), split(80, 5, 1)

    found = calibrate(val, LabelledVectors(vectors, labels), false_match_rate=0.05)

    assert found.requested == 0.05
    assert found.known.share == pytest.approx(false_match_rate(vectors, labels, found.threshold))
    same = [vectors[i] @ vectors[j] >= found.threshold for i in range(80) for j in range(i) if labels[i] == labels[j]]
    assert found.true_matches == pytest.approx(np.mean(same))
    assert found.held_out is None


def test_pairs_with_a_held_out_class_are_those_of_unknown_images_with_all_others() -> None:
    val, (vectors, labels), (others, names) = split(150, 5, 0), split(60, 5, 1), split(40, 3, 2)
    test, held_out = LabelledVectors(vectors, labels), LabelledVectors(others, names)

    found = calibrate(LabelledVectors(*val), test, held_out, false_match_rate=0.05)

    crossing = [a @ b >= found.threshold for a in others for b in vectors]
    inner = [others[i] @ others[j] >= found.threshold for i in range(40) for j in range(i) if names[i] != names[j]]
    assert found.held_out is not None
    assert found.held_out.share == pytest.approx(np.mean(crossing + inner))
    assert found.held_out.pairs == len(crossing + inner)


def test_the_same_images_give_the_same_threshold_where_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.search.calibration.MOST_IMAGES", 100)
    vectors, labels = split(400, 5, 0)

    first, second = (calibrate(*[LabelledVectors(vectors, labels)] * 2, false_match_rate=0.05) for _ in range(2))

    assert first == second
    assert first.known.pairs <= 100 * 99 // 2


@pytest.mark.parametrize(("images", "classes", "threshold"), [(200, 10, 0.75), (400, 20, 0.55), (150, 5, 0.6)])
def test_the_interval_holds_the_true_rate_in_about_95_of_100_samples(
    images: int, classes: int, threshold: float
) -> None:
    found = [false_matches(LabelledVectors(*split(images, classes, 100 + seed)), threshold) for seed in range(300)]

    truth = np.mean([one.share for one in found])
    assert truth > 0
    assert 0.92 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.99


def test_no_false_match_among_few_images_is_no_proof_of_none() -> None:
    val = LabelledVectors(*split(300, 3, 0, spread=0.01))

    known = calibrate(val, LabelledVectors(np.eye(8)[:6], range(6)), false_match_rate=0.001).known

    assert known.share == 0
    assert known.high > 0.3


@pytest.mark.parametrize("rate", [0, -0.1, 0.6, float("nan")])
def test_the_rate_is_a_small_share(rate: float) -> None:
    val = LabelledVectors(*split(50, 5, 0))

    with pytest.raises(SearchError, match=r"above 0 and at most \.5"):
        calibrate(val, val, false_match_rate=rate)


def test_too_few_pairs_for_a_rate_are_an_error() -> None:
    val = LabelledVectors(*split(20, 2, 0))

    with pytest.raises(SearchError, match="at least 10,000 pairs of validation images of two classes"):
        calibrate(val, val, false_match_rate=0.0001)


def test_images_of_one_class_cannot_be_calibrated_on() -> None:
    with pytest.raises(SearchError, match="two classes"):
        calibrate(*[LabelledVectors(np.eye(4), ["a"] * 4)] * 2)


def test_every_vector_needs_a_label() -> None:
    with pytest.raises(SearchError, match="one label a vector, got 3 for 4"):
        LabelledVectors(np.eye(4), ["a", "b", "c"])


def test_a_calibration_survives_being_stored() -> None:
    found = calibrate(*[LabelledVectors(*split(100, 5, 0))] * 2, false_match_rate=0.05)

    assert Calibration.model_validate_json(found.model_dump_json()) == found


def test_embeddings_of_two_models_are_rejected() -> None:
    other = LabelledVectors(np.random.default_rng(0).standard_normal((60, 4)), np.arange(60) % 5)

    with pytest.raises(SearchError, match="some of 8 and 4 dimensions"):
        calibrate(LabelledVectors(*split(150, 5, 0)), other)
    with pytest.raises(SearchError, match="some of 8 and 4 dimensions"):
        calibrate(LabelledVectors(*split(150, 5, 0)), LabelledVectors(*split(60, 5, 1)), other)


def test_labels_of_several_kinds_and_vectors_of_another_shape_are_rejected() -> None:
    with pytest.raises(SearchError, match="labels of one kind"):
        LabelledVectors(np.eye(3), ["cat", None, 1])
    with pytest.raises(SearchError, match=r"shape \(N, E\), got \(3,\)"):
        LabelledVectors(np.ones(3), [1, 2, 3])


def test_two_test_images_have_no_interval() -> None:
    with pytest.raises(SearchError, match="at least three test images, of at least two classes, got 2 with 1 pairs"):
        calibrate(LabelledVectors(*split(150, 5, 0)), LabelledVectors(np.eye(2, 8), [0, 1]))
