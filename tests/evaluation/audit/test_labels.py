from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from triptych.evaluation.audit.labels import count_errors, doubt_labels, votes
from triptych.evaluation.audit.pool import Pool
from triptych.metrics import nearest_neighbours


def test_wrong_labels_are_ranked_better_than_by_cleanlab(flipped: Callable) -> None:
    """Mean average precision over three draws, against whatever ranking of cleanlab's is best for each of them."""
    ours, theirs = [], []
    for seed in range(3):
        pool, is_wrong, _ = flipped(seed)
        ours.append(average_precision_score(is_wrong, doubt_labels(pool).score))
        theirs.append(max(average_precision_score(is_wrong, score) for score in cleanlab_scores(pool)))

    assert np.mean(ours) > 0.97
    assert np.mean(ours) >= np.mean(theirs)


def cleanlab_scores(pool: Pool) -> list[np.ndarray]:
    methods = (
        ("self_confidence", False),
        ("self_confidence", True),
        ("normalized_margin", False),
        ("normalized_margin", True),
        ("confidence_weighted_entropy", False),
    )
    return [
        -get_label_quality_scores(pool.labels.numpy(), seen.numpy(), method=method, adjust_pred_probs=adjusted)
        for seen in (pool.probabilities, neighbours_share(pool))
        for method, adjusted in methods
    ]


def neighbours_share(pool: Pool) -> torch.Tensor:
    """What cleanlab makes of features: the share of neighbours that carry each label."""
    return torch.nn.functional.one_hot(pool.labels, 10).double()[pool.neighbours].mean(dim=1)


def test_what_is_listed_is_mostly_wrong_and_the_true_class_is_suggested(flipped: Callable) -> None:
    pool, is_wrong, truth = flipped(0)

    doubts = doubt_labels(pool)

    likely = doubts.likely.numpy()
    assert is_wrong[likely].mean() > 0.9
    assert likely[is_wrong].mean() > 0.6
    found = torch.from_numpy(likely & is_wrong)
    assert (doubts.suggested[found] == truth[found]).double().mean() > 0.95
    assert not (doubts.suggested == pool.labels).any()


def test_without_a_decoder_two_signals_serve(flipped: Callable) -> None:
    pool, is_wrong, _ = flipped(1)

    doubts = doubt_labels(replace(pool, error=None))

    assert average_precision_score(is_wrong, doubts.score) > 0.95


def test_of_two_equal_doubts_the_smaller_reconstruction_error_comes_first() -> None:
    even = torch.tensor([[0.9, 0.1]] * 4)
    pool = Pool(
        images=torch.zeros(4, 1, 2, 2, dtype=torch.uint8),
        labels=torch.tensor([1, 1, 0, 0]),
        split=torch.zeros(4, dtype=torch.long),
        position=torch.arange(4),
        probabilities=even.double(),
        neighbours=torch.tensor([[2, 3], [2, 3], [3, 0], [2, 0]]),
        distances=torch.ones(4, 2).double(),
        error=torch.tensor([0.2, 0.01, 0.05, 0.05]).double(),
    )

    score = doubt_labels(pool).score

    assert score[1] > score[0] > score[2:].max()


def test_the_vote_is_half_labels_and_half_predictions_of_the_neighbours() -> None:
    pool = Pool(
        images=torch.zeros(3, 1, 2, 2, dtype=torch.uint8),
        labels=torch.tensor([0, 0, 1]),
        split=torch.zeros(3, dtype=torch.long),
        position=torch.arange(3),
        probabilities=torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]]).double(),
        neighbours=torch.tensor([[1, 2], [0, 2], [1, 0]]),
        distances=torch.ones(3, 2).double(),
        error=None,
    )

    # Neighbours 1 and 2 of image 0: labels give (1, 1), the classifier (0.7, 1.3); the prior is (2/3, 1/3).
    expected = [((1 + 0.7) / 2 + 2 / 3) / 3, ((1 + 1.3) / 2 + 1 / 3) / 3]
    assert votes(pool)[0].tolist() == pytest.approx(expected)
    assert np.allclose(votes(pool).sum(1), 1)


CLASSES, IMAGES = 5, 2000
"""Images of each class."""


def clear_votes(truth: torch.Tensor) -> torch.Tensor:
    """Neighbours who all know the class, and are surer of the first images of each."""
    sureness = torch.linspace(0.99, 0.6, IMAGES, dtype=torch.float64).repeat(CLASSES)
    rest = ((1 - sureness) / (CLASSES - 1))[:, None].expand(-1, CLASSES)
    return rest.scatter(1, truth[:, None], sureness[:, None])


@pytest.fixture
def truth() -> torch.Tensor:
    return torch.arange(CLASSES).repeat_interleave(IMAGES)


def test_without_wrong_labels_none_are_counted_but_none_is_impossible(truth):
    errors = count_errors(clear_votes(truth), truth)

    assert errors.rate == 0
    elsewhere = ~torch.eye(CLASSES, dtype=torch.bool)
    assert (errors.chance[elsewhere] > 0).all()
    assert (errors.chance.diagonal() == 0).all()


def test_errors_to_any_class_get_nearly_equal_probabilities(truth):
    random = torch.Generator().manual_seed(0)
    wrong = torch.rand(len(truth), generator=random) < 0.1
    labels = torch.where(wrong, (truth + torch.randint(1, CLASSES, truth.shape, generator=random)) % CLASSES, truth)

    errors = count_errors(clear_votes(truth), labels)

    assert errors.rate == pytest.approx(0.1, abs=0.02)
    chances = errors.chance[~torch.eye(CLASSES, dtype=torch.bool)]
    assert chances.min() > 0.015
    assert chances.max() < 0.035


def test_a_class_confused_with_one_other_gets_that_probability_alone(truth):
    random = torch.Generator().manual_seed(1)
    wrong = (truth == 2) & (torch.rand(len(truth), generator=random) < 0.2)
    labels = torch.where(wrong, 4, truth)

    chance = count_errors(clear_votes(truth), labels).chance

    assert chance[2, 4] == pytest.approx(0.2, abs=0.05)
    chance[2, 4] = 0
    assert chance.max() < 0.01


def test_only_images_with_the_clearest_votes_are_counted(truth):
    place = torch.arange(IMAGES).repeat(CLASSES)
    doubtful = torch.where(place >= IMAGES // 5, (truth + 1) % CLASSES, truth)

    assert count_errors(clear_votes(truth), doubtful).rate == 0
    doubtful[0] = 1
    assert count_errors(clear_votes(truth), doubtful).rate == pytest.approx(1 / (CLASSES * IMAGES / 5))


def test_a_model_that_is_too_weak_judges_no_label(digits, judged):
    """A classifier of 25 % accuracy once called 104 of 240 correct labels wrong."""
    images, labels = digits
    pool = judged(images, labels)
    random = torch.Generator().manual_seed(0)
    noise = torch.rand(pool.probabilities.shape, generator=random, dtype=torch.float64).softmax(1)
    shuffled = torch.randint(0, len(labels), pool.neighbours.shape, generator=random)
    weak = replace(pool, probabilities=0.9 * noise + 0.1 * pool.probabilities, neighbours=shuffled)

    doubts = doubt_labels(weak)

    assert not doubts.is_reliable
    assert doubts.agreement_unseen < 0.5
    assert not doubts.likely.any()
    assert doubts.score.isfinite().all()
    assert doubt_labels(pool).is_reliable


def pool_of_points(points: np.ndarray, labels: np.ndarray, *, classes: int) -> Pool:
    """Judge points by logistic regression, trained on the first four fifths, and by their neighbours."""
    count = len(labels)
    train = 4 * count // 5
    classifier = LogisticRegression().fit(points[:train], labels[:train])
    found = nearest_neighbours(torch.from_numpy(points), k=20, distance="euclidean")
    probabilities = np.full((count, classes), 1e-9)
    probabilities[:, classifier.classes_] = classifier.predict_proba(points)
    place = torch.arange(count)
    return Pool(
        images=torch.zeros(count, 1, 2, 2, dtype=torch.uint8),
        labels=torch.from_numpy(labels),
        split=(place >= train).long(),
        position=place,
        probabilities=torch.from_numpy(probabilities),
        neighbours=found.indices,
        distances=found.distances.double(),
        error=None,
    )


@pytest.mark.parametrize(
    ("shares", "distance"),
    [([0.5, 0.5], 0.0), ([0.9, 0.1], 0.0), ([0.8, 0.05, 0.05, 0.05, 0.05], 0.0), ([0.5, 0.5], 0.1), ([0.1] * 10, 0.35)],
    ids=["two classes of noise", "one frequent class", "one of five frequent", "two hardly apart", "ten, half right"],
)
def test_correct_labels_of_a_weak_model_are_not_called_wrong(shares, distance):
    """Agreement by chance, of two classes or with the most frequent one, says nothing about labels."""
    for seed in range(4):
        generator = np.random.default_rng(seed)
        centres = distance * generator.normal(size=(len(shares), 16))
        labels = generator.choice(len(shares), p=shares, size=240)
        points = centres[labels] + generator.normal(size=(240, 16))
        assert not doubt_labels(pool_of_points(points, labels, classes=len(shares))).likely.any()


def test_many_label_errors_of_two_clear_classes_are_still_judged():
    generator = np.random.default_rng(0)
    truth = generator.integers(2, size=600)
    is_wrong = generator.random(600) < 0.15
    points = np.where(truth, 1.0, -1.0)[:, None] + generator.normal(size=(600, 16))

    doubts = doubt_labels(pool_of_points(points, truth ^ is_wrong, classes=2))

    assert doubts.is_reliable
    assert is_wrong[doubts.likely.numpy()].mean() > 0.9
    assert doubts.likely.numpy()[is_wrong].mean() > 0.6
