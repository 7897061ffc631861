import itertools
import math
import statistics
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from triptych.metrics import retrieval_metrics, retrieval_scores

K = (1, 3, 7)
NAMES = ["precision_at_1", "recall_at_1", "recall_at_3", "recall_at_7", "r_precision", "map_at_r", "mrr"]
both_distances = pytest.mark.parametrize("distance", ["cosine", "euclidean"])


def batch(seed, size, classes, embedding_dim=6, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(size, embedding_dim, dtype=dtype, generator=generator)
    return embeddings, torch.randint(classes, (size,), generator=generator)


def of_ranking(relevant):
    """The definitions, of one ranking of the gallery: rel(1), rel(2), ..."""
    wanted = sum(relevant)
    precision = [sum(relevant[: i + 1]) / (i + 1) for i in range(len(relevant))]
    return {
        "precision_at_1": relevant[0],
        **{f"recall_at_{k}": float(any(relevant[:k])) for k in K},
        "r_precision": sum(relevant[:wanted]) / wanted,
        "map_at_r": sum(precision[i] for i in range(wanted) if relevant[i]) / wanted,
        "mrr": 1 / (relevant.index(True) + 1),
    }


def of_groups(groups):
    """The same, expected over all orders of tied rows, from (rows, relevant rows) of each group, nearest first."""
    wanted = sum(relevant for _, relevant in groups)
    group_of = [number for number, (size, _) in enumerate(groups) for _ in range(size)]

    def both(i, j):
        """The chance that the places i and j are relevant."""
        (n, p), (m, q) = groups[group_of[i]], groups[group_of[j]]
        if i == j:
            return Fraction(p, n)
        return Fraction(p, n) * (Fraction(p - 1, n - 1) if group_of[i] == group_of[j] else Fraction(q, m))

    def none(depth):
        """The chance that no place before the depth is relevant."""
        chance = Fraction(1)
        for number, (n, p) in enumerate(groups):
            drawn = group_of[:depth].count(number)
            chance *= Fraction(math.comb(n - p, drawn), math.comb(n, drawn))
        return chance

    rows = len(group_of)
    return {
        "precision_at_1": both(0, 0),
        **{f"recall_at_{k}": 1 - none(min(k, rows)) for k in K},
        "r_precision": sum(both(i, i) for i in range(wanted)) / wanted,
        "map_at_r": sum(both(i, j) / (i + 1) for i in range(wanted) for j in range(i + 1)) / wanted,
        "mrr": sum((none(i) - none(i + 1)) / (i + 1) for i in range(rows)),
    }


def naive(query, query_labels, gallery=None, gallery_labels=None, *, distance="cosine", tie=1e-9):
    """Query by query, with exact fractions behind the ranking; None where there is nothing to find."""
    leave_one_out = gallery is None
    rows, labels = (query, query_labels) if leave_one_out else (gallery, gallery_labels)
    per_query = []
    for number, (one, label) in enumerate(zip(query, query_labels.tolist(), strict=True)):
        others = [other for other in range(len(rows)) if not (leave_one_out and other == number)]
        if distance == "cosine":
            gaps = [1 - F.cosine_similarity(one, rows[other], dim=0, eps=1e-300).item() for other in others]
        else:
            gaps = [(one - rows[other]).square().sum().item() for other in others]
        ranking = sorted(zip(gaps, (labels[other].item() == label for other in others), strict=True))
        groups, last = [], -math.inf
        for gap, relevant in ranking:
            if gap - last > tie:
                groups.append((0, 0))
            groups[-1] = (groups[-1][0] + 1, groups[-1][1] + relevant)
            last = gap
        per_query.append(of_groups(groups) if any(relevant for _, relevant in ranking) else None)
    return per_query


def mean_of(per_query):
    found = [values for values in per_query if values is not None]
    return {name: float(statistics.mean(values[name] for values in found)) if found else math.nan for name in NAMES}


@pytest.mark.parametrize(
    "groups", [((4, 2),), ((1, 0), (4, 1)), ((2, 1), (3, 0), (2, 2)), ((3, 1), (3, 2)), ((1, 1), (5, 1))]
)
def test_the_oracle_is_the_mean_over_all_orders_of_the_tied(groups):
    orders = [set(itertools.permutations([True] * p + [False] * (n - p))) for n, p in groups]
    # Each distinct order of a group's relevance is as likely as any other.
    rankings = [of_ranking(list(itertools.chain(*order))) for order in itertools.product(*orders)]
    for name, value in of_groups(groups).items():
        assert float(value) == pytest.approx(statistics.mean(ranking[name] for ranking in rankings))


@both_distances
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 14), classes=st.integers(1, 5), rows=st.integers(0, 14))
def test_values_equal_the_definitions(distance, seed, size, classes, rows):
    query, query_labels = batch(seed, size, classes)
    gallery = batch(seed + 1, rows, classes) if rows else ()
    values = retrieval_metrics(query, query_labels, *gallery, k=K, distance=distance)
    expected = mean_of(naive(query, query_labels, *gallery, distance=distance))
    assert values == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert list(values) == NAMES


@both_distances
@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 2**31),
    size=st.integers(2, 24),
    classes=st.integers(1, 8),
    sides=st.integers(1, 3),
    rows=st.integers(0, 24),
    chunk_size=st.sampled_from([None, 1, 5]),
)
def test_ties_score_the_mean_over_all_orders(distance, seed, size, classes, sides, rows, chunk_size):
    # Few points of a small grid: ties within and across classes, at the first place, at the R-th, and of all rows.
    generator = torch.Generator().manual_seed(seed)
    points = torch.randint(sides + 1, (size + rows, 2), generator=generator).float() - 1
    labels = torch.randint(classes, (size + rows,), generator=generator)
    split = (points[:size], labels[:size], *((points[size:], labels[size:]) if rows else ()))
    values = retrieval_metrics(*split, k=K, distance=distance, chunk_size=chunk_size)
    doubled = [part.double() if part.is_floating_point() else part for part in split]
    assert values == pytest.approx(mean_of(naive(*doubled, distance=distance)), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("case", range(200))
def test_agrees_with_pytorch_metric_learning(case):
    size, classes, distance = 10 + case % 50, 2 + case % 7, ["cosine", "euclidean"][case % 2]
    query, query_labels = batch(case, size, classes, embedding_dim=2 + case % 11)
    gallery = batch(1000 + case, 10 + case % 31, classes + 1, embedding_dim=2 + case % 11) if case % 3 else ()
    include = ("precision_at_1", "r_precision", "mean_average_precision_at_r", "mean_reciprocal_rank")
    peer = LpDistance(normalize_embeddings=False) if distance == "euclidean" else CosineSimilarity()
    calculator = AccuracyCalculator(include=include, device=torch.device("cpu"), knn_func=CustomKNN(peer))
    theirs = calculator.get_accuracy(query, query_labels, *gallery)
    ours = retrieval_metrics(query, query_labels, *gallery, distance=distance)
    renamed = {"map_at_r": "mean_average_precision_at_r", "mrr": "mean_reciprocal_rank"}
    for name in ("precision_at_1", "r_precision", "map_at_r", "mrr"):
        assert ours[name] == pytest.approx(theirs[renamed.get(name, name)], abs=1e-6)


@both_distances
@pytest.mark.parametrize(
    "embedding", [torch.ones(8), torch.zeros(8), torch.full((8,), 0.1), torch.arange(8.0)], ids=str
)
def test_identical_embeddings_score_chance_whatever_the_order_of_the_rows(distance, embedding):
    labels = torch.arange(60) % 3
    for order in (labels, labels.sort().values):
        values = retrieval_metrics(embedding.expand(60, 8), order, k=(1, 5, 100), distance=distance)
        chance = 19 / 59
        assert values["precision_at_1"] == pytest.approx(chance)
        assert values["recall_at_1"] == pytest.approx(chance)
        assert values["r_precision"] == pytest.approx(chance)
        assert values["recall_at_5"] == pytest.approx(1 - math.comb(40, 5) / math.comb(59, 5))
        assert values["recall_at_100"] == 1
        assert values["mrr"] == pytest.approx(sum(math.comb(59 - i, 18) / math.comb(59, 19) / i for i in range(1, 42)))
        pairs = [(1 + (i - 1) * 18 / 58) / i for i in range(1, 20)]  # expected precision at i, of a relevant place i
        assert values["map_at_r"] == pytest.approx(chance * sum(pairs) / 19)


def test_embeddings_that_differ_only_by_float32_rounding_score_chance():
    noise = torch.randn(90, 16, generator=torch.Generator().manual_seed(0))
    embeddings = F.normalize(torch.ones(90, 16) + 1e-7 * noise)
    assert len(embeddings.unique(dim=0)) > 1
    values = retrieval_metrics(embeddings, torch.arange(90) % 3)
    assert values["precision_at_1"] == pytest.approx(29 / 89)
    assert values["r_precision"] == pytest.approx(29 / 89)


@both_distances
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 2**31))
def test_neither_the_order_of_rows_nor_the_chunks_nor_a_rotation_change_a_value(distance, seed):
    generator = torch.Generator().manual_seed(seed)
    points, labels = batch(seed, 90, 4, embedding_dim=24, dtype=torch.float32)
    copied = torch.randint(90, (40,), generator=generator)
    points, labels = torch.cat([points, points[copied]]), torch.cat([labels, labels[copied].roll(1)])
    values = retrieval_metrics(points, labels, k=K, distance=distance)
    order = torch.randperm(len(points), generator=generator)
    rotation = torch.linalg.qr(torch.randn(24, 24, dtype=torch.float64, generator=generator)).Q
    moved = (points.double() @ rotation, labels)
    assert retrieval_metrics(points[order], labels[order], k=K, distance=distance) == pytest.approx(values, abs=1e-12)
    assert retrieval_metrics(*moved, k=K, distance=distance) == pytest.approx(values, abs=1e-12)
    for chunk_size in (7, 64):
        chunked = retrieval_metrics(points, labels, k=K, distance=distance, chunk_size=chunk_size)
        assert chunked == pytest.approx(values, abs=1e-12)


def test_cosine_does_not_see_lengths_and_euclidean_does_not_see_where_the_origin_is():
    points, labels = batch(3, 80, 3)
    lengths = 10 ** torch.linspace(-180, 180, 80, dtype=torch.float64)[:, None]
    cosine = retrieval_metrics(points, labels)
    assert retrieval_metrics(points * lengths, labels) == pytest.approx(cosine, abs=1e-12)
    euclidean = retrieval_metrics(points, labels, distance="euclidean")
    assert retrieval_metrics(1e200 * points, labels, distance="euclidean") == pytest.approx(euclidean, abs=1e-12)
    assert retrieval_metrics(points + 1e4, labels, distance="euclidean") == pytest.approx(euclidean, abs=1e-12)
    assert cosine != euclidean


def test_perfect_and_worst_rankings_by_hand():
    line = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    perfect = retrieval_metrics(line, torch.tensor([0, 0, 1, 1]), k=(1, 2), distance="euclidean")
    assert set(perfect.values()) == {1.0}
    # Seen from either end: other, own, other. From the two between: other, other, own.
    worst = retrieval_metrics(line, torch.tensor([0, 1, 0, 1]), k=(1, 2), distance="euclidean")
    assert worst == pytest.approx(
        {"precision_at_1": 0, "recall_at_1": 0, "recall_at_2": 0.5, "r_precision": 0, "map_at_r": 0, "mrr": 5 / 12}
    )


def test_map_at_r_by_hand():
    # One query; the gallery's order is 1, 0, 1, 1, 0 and R = 3: precisions 1 and 2/3 at the hits, over 3.
    gallery, labels = torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]]), torch.tensor([7, 0, 7, 7, 0])
    values = retrieval_metrics(torch.tensor([[0.0]]), torch.tensor([7]), gallery, labels, distance="euclidean")
    assert values["map_at_r"] == pytest.approx((1 + 2 / 3) / 3)
    assert values["r_precision"] == pytest.approx(2 / 3)


def test_per_query_scores_have_the_metrics_as_their_means_and_nan_for_lone_classes():
    points, labels = batch(5, 12, 3)
    labels[4] = 99
    scores = retrieval_scores(points, labels, k=K)
    assert list(scores) == NAMES
    expected = naive(points, labels)
    for name, values in scores.items():
        assert values.shape == (12,)
        assert values.dtype == torch.float64
        assert values.isnan().tolist() == [number == 4 for number in range(12)]
        for value, oracle in zip(values.tolist(), expected, strict=True):
            assert oracle is None or value == pytest.approx(float(oracle[name]), abs=1e-12)
    assert retrieval_metrics(points, labels, k=K) == pytest.approx(
        {name: values.nanmean().item() for name, values in scores.items()}
    )


@pytest.mark.parametrize("labels", [[0], [0, 1, 2], [5, -5]], ids=str)
def test_without_anything_to_find_every_value_is_nan(labels):
    values = retrieval_metrics(torch.randn(len(labels), 3), torch.tensor(labels))
    assert len(values) == 7
    assert all(math.isnan(value) for value in values.values())


def test_a_query_whose_class_the_gallery_lacks_is_left_out():
    gallery, labels = batch(6, 9, 1)
    query = torch.cat([gallery[:2], gallery[:1]])
    scores = retrieval_scores(query, torch.tensor([0, 0, 8]), gallery, labels)
    assert [values.tolist()[:2] for values in scores.values()] == [[1.0, 1.0]] * 7
    assert all(values[2].isnan() for values in scores.values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
def test_any_real_type_is_taken_for_the_values_it_holds(dtype):
    points = torch.randint(-9, 10, (40, 5), generator=torch.Generator().manual_seed(1)).to(dtype)
    before, labels = points.clone(), torch.arange(40, dtype=torch.int32) % 4
    assert retrieval_metrics(points, labels) == retrieval_metrics(points.double(), labels.long())
    assert points.equal(before)


@both_distances
def test_neither_the_embeddings_nor_their_gradients_are_touched(distance):
    points = batch(7, 20, 3)[0].requires_grad_()
    before = points.detach().clone()
    scores = retrieval_scores(points, torch.arange(20) % 3, points, torch.arange(20) % 3, distance=distance)
    assert not any(values.requires_grad for values in scores.values())
    assert points.detach().equal(before)


def test_float32_neighbours_closer_than_float32_can_multiply_are_distinguished():
    # The cosines are 1 - 5e-9 and 1 - 2e-8: both 1 in float32.
    points = torch.tensor([[1.0, 0.0], [1.0, 2e-4], [1.0, 1e-4]])
    scores = retrieval_scores(points[:1], torch.tensor([1]), points[1:], torch.tensor([1, 0]))
    assert scores["mrr"].item() == 0.5


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(results) if isinstance(leaf, torch.Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return results


@pytest.mark.parametrize("points", ["apart", "one"])
def test_memory_is_a_chunk_of_scores(points):
    embeddings, labels = batch(8, 600, 4)
    with LargestTensor() as largest:
        retrieval_metrics(embeddings if points == "apart" else embeddings[:1].expand(600, -1), labels, chunk_size=30)
    assert largest.elements == 30 * 600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": torch.zeros(3)}, r"query must be a matrix .* shape is \(3,\)"),
        ({"query": torch.zeros(0, 4), "query_labels": torch.zeros(0, dtype=torch.int64)}, "N and E at least 1"),
        ({"query": torch.full((3, 2), math.nan)}, "query must be finite, but 3 of 3 rows are not"),
        ({"query_labels": torch.zeros(2, dtype=torch.int64)}, "query_labels must be 3 integers"),
        ({"query_labels": torch.zeros(3)}, "query_labels must be 3 integers"),
        ({"gallery": torch.zeros(5, 2)}, "gallery_labels is None"),
        ({"gallery_labels": torch.zeros(5, dtype=torch.int64)}, "gallery is None"),
        ({"gallery": torch.zeros(5, 3), "gallery_labels": torch.zeros(5, dtype=torch.int64)}, "have 2 and 3"),
        ({"gallery": torch.zeros(5, 2), "gallery_labels": torch.zeros(4, dtype=torch.int64)}, "must be 5 integers"),
        ({"gallery": torch.full((5, 2), math.inf), "gallery_labels": torch.zeros(5, dtype=torch.int64)}, "5 of 5 rows"),
        ({"k": (0,)}, "every k must be a whole number of at least 1, but it is 0"),
        ({"k": (1, 2.5)}, "every k must be a whole number"),
        ({"k": 5}, r"k must be a sequence .* \(5,\)"),
        ({"distance": "manhattan"}, "distance must be one of cosine, euclidean, but it is 'manhattan'"),
        ({"chunk_size": 0}, "chunk_size must be a whole number of at least 1"),
    ],
)
def test_arguments_that_make_no_sense_are_rejected(arguments, message):
    given_ones = {"query": torch.zeros(3, 2), "query_labels": torch.zeros(3, dtype=torch.int64), **arguments}
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(**given_ones)
