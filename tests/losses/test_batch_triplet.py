import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import distances, losses, miners, reducers
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from triptych.losses import BatchTripletLoss, batch_triplet

MODES = [("all", 0.2), ("all", None), ("semihard", 0.2), ("hard", 0.2), ("hard", None)]
EUCLIDEAN = distances.LpDistance(normalize_embeddings=False)
every_mode = pytest.mark.parametrize(("mining", "margin"), MODES)


def batch(seed, size, classes, embedding_dim=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    embeddings = F.normalize(torch.randn(size, embedding_dim, dtype=dtype, generator=generator), dim=1)
    return embeddings, torch.randint(classes, (size,), generator=generator)


def naive(embeddings, labels, mining, margin):
    """The definition, in three loops: (mean over active triplets, active, valid)."""
    size = len(labels)
    distance = [[(a - b).norm() for b in embeddings] for a in embeddings]
    triplets = []
    for a in range(size):
        positives = [p for p in range(size) if p != a and labels[p] == labels[a]]
        negatives = [n for n in range(size) if labels[n] != labels[a]]
        if mining == "hard" and positives and negatives:
            farthest = max(positives, key=lambda p: distance[a][p].item())
            nearest = min(negatives, key=lambda n: distance[a][n].item())
            triplets.append((distance[a][farthest], distance[a][nearest]))
        elif mining != "hard":
            triplets += [(distance[a][p], distance[a][n]) for p in positives for n in negatives]
    valid = len(triplets)
    if mining == "semihard":
        triplets = [(positive, negative) for positive, negative in triplets if positive < negative < positive + margin]
    terms = [
        torch.log1p((positive - negative).exp()) if margin is None else positive - negative + margin
        for positive, negative in triplets
    ]
    terms = [term for term in terms if term > 0]
    return sum(terms) / max(1, len(terms)) + 0 * embeddings.sum(), len(terms), valid


def value_and_gradient(loss, embeddings, *arguments):
    leaf = embeddings.clone().requires_grad_()
    value = loss(leaf, *arguments)
    return [value.detach(), *torch.autograd.grad(value, leaf)]


@every_mode
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 9), classes=st.integers(1, 4))
def test_value_gradient_and_counts_equal_the_three_loops(mining, margin, seed, size, classes):
    embeddings, labels = batch(seed, size, classes)
    loss = BatchTripletLoss(margin=margin, mining=mining)
    oracle = value_and_gradient(lambda points: naive(points, labels, mining, margin)[0], embeddings)
    torch.testing.assert_close(value_and_gradient(loss, embeddings, labels), oracle, atol=1e-9, rtol=1e-9)
    mined = loss.measure(embeddings, labels)
    assert (mined.active.item(), mined.valid.item()) == naive(embeddings, labels, mining, margin)[1:]
    assert mined.active_fraction.item() == pytest.approx(mined.active.item() / max(1, mined.valid.item()))


def peer(mining, margin):
    """pytorch-metric-learning's miner and loss for the same triplets."""
    distance = distances.LpDistance(normalize_embeddings=False)
    loss = losses.TripletMarginLoss(
        margin=margin or 0.0, smooth_loss=margin is None, distance=distance, reducer=reducers.AvgNonZeroReducer()
    )
    if mining == "hard":
        miner = miners.BatchHardMiner(distance=distance)
    else:
        band = -100.0 if margin is None else margin
        miner = miners.TripletMarginMiner(margin=band, type_of_triplets=mining, distance=distance)
    if mining == "all" and margin is None:
        return loss
    return lambda embeddings, labels: loss(embeddings, labels, miner(embeddings, labels))


@every_mode
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_pytorch_metric_learning(mining, margin, seed):
    embeddings, labels = batch(seed, 40, 5, embedding_dim=8)
    ours = value_and_gradient(BatchTripletLoss(margin=margin, mining=mining), embeddings, labels)
    theirs = value_and_gradient(peer(mining, margin), embeddings, labels)
    torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


@every_mode
def test_gradcheck(mining, margin):
    embeddings, labels = batch(3, 7, 3)
    loss = BatchTripletLoss(margin=margin, mining=mining)
    assert loss(embeddings, labels) > 0
    assert torch.autograd.gradcheck(lambda points: loss(points, labels), embeddings.requires_grad_())


@every_mode
def test_float32_keeps_the_value_and_the_gradient_at_a_large_batch(mining, margin):
    embeddings, labels = batch(0, 256, 10, embedding_dim=64)
    loss = BatchTripletLoss(margin=margin, mining=mining)
    exact = value_and_gradient(loss, embeddings, labels)
    rounded = value_and_gradient(loss, embeddings.float(), labels)
    assert all(tensor.dtype == torch.float32 for tensor in rounded)
    torch.testing.assert_close(rounded[0].double(), exact[0], atol=1e-6, rtol=1e-6)
    # Some of the millions of triplets stand at the margin, where rounding decides whether they pull.
    torch.testing.assert_close(rounded[1].double(), exact[1], atol=1e-3 * exact[1].abs().max().item(), rtol=0)


def test_the_band_of_semihard_mining_is_open_at_both_ends():
    # Distances are whole numbers, exact in float32: anchor 0 has its positive at 2 and negatives at 2, 3 and 4.
    embeddings = torch.tensor([[0.0], [2.0], [-2.0], [3.0], [-4.0], [1.0]])
    labels = torch.tensor([0, 0, 1, 2, 3, 4])
    semihard = BatchTripletLoss(margin=2.0, mining="semihard").measure(embeddings, labels)
    # Anchor 0: the negative at 3 is in the band, those at 1, 2 and 4 are not. Anchor 1, its positive at 2: the
    # negatives lie at 4, 1, 6 and 1, none in the band.
    assert (semihard.active.item(), semihard.valid.item(), semihard.loss.item()) == (1, 8, 1.0)
    every = BatchTripletLoss(margin=2.0, mining="all").measure(embeddings, labels)
    # Anchor 0: hinges 2, 1, 0 and 3. Anchor 1: 0, 3, 0 and 3. Zeros do not count in the mean.
    assert (every.active.item(), every.valid.item(), every.loss.item()) == (5, 8, pytest.approx(12 / 5))


@every_mode
@pytest.mark.parametrize("labels", [[0], [1, 1, 1, 1], [0, 1, 2, 3], [0, 0]], ids=str)
def test_without_triplets_the_loss_is_a_differentiable_zero(mining, margin, labels):
    embeddings = torch.randn(len(labels), 4, requires_grad=True)
    mined = BatchTripletLoss(margin=margin, mining=mining).measure(embeddings, torch.tensor(labels))
    mined.loss.backward()
    assert (mined.loss.item(), mined.active.item(), mined.valid.item(), mined.active_fraction.item()) == (0, 0, 0, 0)
    assert (embeddings.grad == 0).all()


@pytest.mark.parametrize("mining", ["all", "semihard", "hard"])
def test_with_every_negative_out_of_reach_the_loss_is_a_differentiable_zero(mining):
    embeddings = torch.tensor([[0.0], [0.1], [9.0], [9.1]], requires_grad=True)
    mined = BatchTripletLoss(margin=0.2, mining=mining).measure(embeddings, torch.tensor([0, 0, 1, 1]))
    mined.loss.backward()
    assert (mined.loss.item(), mined.active.item(), mined.active_fraction.item()) == (0, 0, 0)
    assert mined.valid.item() == (4 if mining == "hard" else 8)
    assert (embeddings.grad == 0).all()


@pytest.mark.parametrize("mining", ["all", "hard"])
def test_every_triplet_counts_under_the_soft_margin_even_where_its_loss_underflows(mining):
    embeddings = torch.tensor([[0.0], [0.0], [1e3]])
    mined = BatchTripletLoss(margin=None, mining=mining).measure(embeddings, torch.tensor([0, 0, 1]))
    assert (mined.loss.item(), mined.active.item(), mined.valid.item()) == (0, 2, 2)


@every_mode
def test_a_batch_that_is_one_point_costs_the_margin_and_has_a_finite_gradient(mining, margin):
    embeddings = F.normalize(torch.ones(12, 16), dim=1).requires_grad_()
    loss = BatchTripletLoss(margin=margin, mining=mining)(embeddings, torch.arange(12) % 3)
    loss.backward()
    expected = {"semihard": 0.0}.get(mining, math.log(2) if margin is None else margin)
    assert loss.item() == pytest.approx(expected)
    assert embeddings.grad.isfinite().all()


@every_mode
def test_duplicates_within_and_across_classes_have_a_bounded_gradient(mining, margin):
    embeddings, labels = batch(5, 32, 4, embedding_dim=8, dtype=torch.float32)
    embeddings[8:16] = embeddings[:8]
    value, gradient = value_and_gradient(BatchTripletLoss(margin=margin, mining=mining), embeddings, labels)
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert gradient.norm(dim=1).max() < 1  # the mean of unit forces, shared over a batch of 32


@every_mode
def test_the_order_of_the_batch_does_not_matter(mining, margin):
    embeddings, labels = batch(6, 30, 4)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    loss = BatchTripletLoss(margin=margin, mining=mining)
    value, gradient = value_and_gradient(loss, embeddings, labels)
    torch.testing.assert_close(value_and_gradient(loss, embeddings[order], labels[order]), [value, gradient[order]])


@every_mode
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_embedding_that_is_not_finite_is_not_hidden(mining, margin, bad):
    embeddings, labels = batch(7, 12, 3)
    embeddings[4, 1] = bad
    assert BatchTripletLoss(margin=margin, mining=mining)(embeddings, labels).isnan()


def test_the_soft_margin_is_the_same_in_any_number_of_chunks(monkeypatch):
    embeddings, labels = batch(8, 20, 3)
    loss = BatchTripletLoss(margin=None, mining="all")
    whole = value_and_gradient(loss, embeddings, labels)
    for anchors in (1, 7):
        monkeypatch.setattr(batch_triplet, "SOFT_CHUNK_ELEMENTS", anchors * 20**2)
        torch.testing.assert_close(value_and_gradient(loss, embeddings, labels), whole)


class LargestTensor(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        sizes = [leaf.untyped_storage().nbytes() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.elements = max([self.elements, *(size // 8 for size in sizes)])
        return result


@every_mode
def test_memory_grows_with_the_square_of_the_batch_not_the_cube(mining, margin, monkeypatch):
    monkeypatch.setattr(batch_triplet, "SOFT_CHUNK_ELEMENTS", 100)
    embeddings, labels = batch(9, 96, 6)
    with LargestTensor() as largest:
        value_and_gradient(BatchTripletLoss(margin=margin, mining=mining), embeddings, labels)
    assert 96 * 96 <= largest.elements <= 96 * 96 + 96


def test_semihard_mining_without_a_margin_is_rejected():
    with pytest.raises(ValueError, match=r"semihard mining expects a margin, .*, but margin is None; give a margin"):
        BatchTripletLoss(margin=None, mining="semihard")


def test_an_unknown_mining_is_rejected():
    with pytest.raises(ValueError, match="mining must be one of all, semihard, hard, but it is 'soft'"):
        BatchTripletLoss(margin=0.2, mining="soft")


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf])
def test_an_impossible_margin_is_rejected(margin):
    with pytest.raises(ValueError, match="margin must be a finite number above 0"):
        BatchTripletLoss(margin=margin, mining="all")


@pytest.mark.parametrize("shapes", [((4, 2), (3,)), ((4, 2), (4, 1)), ((4,), (4,)), ((0, 2), (0,))])
def test_shapes_that_do_not_belong_together_are_rejected(shapes):
    embeddings, labels = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"shapes? \(B, E\)"):
        BatchTripletLoss(margin=0.2, mining="all")(embeddings, labels)


def test_prints_its_settings():
    assert repr(BatchTripletLoss(margin=0.2, mining="hard")) == "BatchTripletLoss(margin=0.2, mining='hard')"


# The calling form of pytorch-metric-learning


def test_a_loss_without_arguments_is_semihard_with_a_margin_of_a_fifth():
    embeddings, labels = batch(0, 24, 4)
    assert repr(BatchTripletLoss()) == "BatchTripletLoss(margin=0.2, mining='semihard')"
    expected = naive(embeddings, labels, "semihard", 0.2)[0]
    torch.testing.assert_close(BatchTripletLoss()(embeddings, labels), expected)


@pytest.mark.parametrize("margin", [0.2, None])
@pytest.mark.parametrize("miner", [miners.TripletMarginMiner(margin=0.3), miners.MultiSimilarityMiner(epsilon=0.2)])
def test_triplets_and_pairs_of_a_miner_give_the_loss_of_pytorch_metric_learning(margin, miner):
    embeddings, labels = batch(1, 40, 5, embedding_dim=8)
    mined = miner(embeddings, labels)
    assert len(mined[0])
    ours = value_and_gradient(BatchTripletLoss(margin=margin, mining="all"), embeddings, labels, mined)
    loss = losses.TripletMarginLoss(margin=margin or 0.0, smooth_loss=margin is None, distance=EUCLIDEAN)
    torch.testing.assert_close(ours, value_and_gradient(loss, embeddings, labels, mined), atol=1e-9, rtol=1e-9)


@every_mode
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 7), references=st.integers(1, 9), classes=st.integers(1, 3))
def test_positives_and_negatives_come_from_the_reference_embeddings(mining, margin, seed, size, references, classes):
    embeddings, labels = batch(seed, size, classes)
    others, other_labels = batch(seed + 1, references, classes)
    loss = BatchTripletLoss(margin=margin, mining=mining)
    # A batch of both, whose anchors are the embeddings alone: row i of the naive matrix, columns of the references.
    terms, valid = [], 0
    for point, label in zip(embeddings, labels, strict=True):
        distance = (others - point).norm(dim=1)
        positives, negatives = distance[other_labels == label], distance[other_labels != label]
        if mining == "hard":
            pairs = [(positives.max(), negatives.min())] if len(positives) and len(negatives) else []
        else:
            pairs = [(p, n) for p in positives for n in negatives]
        valid += len(pairs)
        if mining == "semihard":
            pairs = [(p, n) for p, n in pairs if p < n < p + margin]
        terms += [torch.log1p((p - n).exp()) if margin is None else p - n + margin for p, n in pairs]
    terms = [term for term in terms if term > 0]
    measured = loss.measure(embeddings, labels, None, others, other_labels)
    assert float(measured.loss) == pytest.approx(float(sum(terms)) / max(1, len(terms)), abs=1e-9)
    assert (measured.active.item(), measured.valid.item()) == (len(terms), valid)


def test_given_triplets_need_no_labels():
    embeddings = torch.tensor([[0.0], [1.0], [1.5]])
    triplets = (torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
    assert BatchTripletLoss(margin=1.0)(embeddings, indices_tuple=triplets).item() == 0.5


def test_no_given_triplets_are_a_differentiable_zero():
    embeddings = torch.randn(3, 2, requires_grad=True)
    none = torch.empty(0, dtype=torch.long)
    loss = BatchTripletLoss()(embeddings, None, (none, none, none))
    loss.backward()
    assert loss.item() == 0
    assert (embeddings.grad == 0).all()


NUMBERS = torch.zeros(3, 2)
PLACES = torch.zeros(1, dtype=torch.long)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NUMBERS,), "labels or indices_tuple must be given"),
        ((NUMBERS.long(), PLACES), "embeddings must be floating-point numbers"),
        ((NUMBERS, torch.zeros(2)), r"shapes \(B, E\) and \(B,\)"),
        ((NUMBERS, torch.zeros(3), None, NUMBERS), "ref_emb must come with ref_labels or indices_tuple"),
        ((NUMBERS, torch.zeros(3), None, None, torch.zeros(3)), "ref_emb is None; give both"),
        ((NUMBERS, torch.zeros(3), None, NUMBERS[:, :1], torch.zeros(3)), "one width E, but they have 2 and 1"),
        ((NUMBERS, None, (PLACES, PLACES)), "must be triplets"),
        ((NUMBERS, None, (PLACES, PLACES, NUMBERS)), "must be triplets"),
        (
            (NUMBERS, None, (PLACES, PLACES, PLACES + 3)),
            "positions in 3 embeddings and 3 reference embeddings, but index 3 is out of bounds",
        ),
        ((NUMBERS, None, (PLACES, PLACES, torch.zeros(2, dtype=torch.long))), r"one length, but they have \[1, 1, 2\]"),
    ],
)
def test_arguments_that_do_not_fit_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchTripletLoss()(*arguments)
