from collections.abc import Callable

import pytest
import torch

from triptych.data.augment.augmentation import Augmentation
from triptych.data.batches.loader import Batch, BatchLoader
from triptych.data.batches.sampling import BalancedBatchSampler
from triptych.data.batches.triplets import ImageDataset, TripletDataset

Kind = type[ImageDataset] | type[TripletDataset]

SIZE, BATCH_SIZE = 23, 5


def loader(kind: Kind = ImageDataset) -> BatchLoader:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (SIZE, 1, 8, 8), generator=generator).to(torch.uint8)
    augment = Augmentation(rotation=10.0)
    dataset = kind(images, torch.arange(SIZE) % 3, augment=augment, seed=4)
    return BatchLoader(dataset, BalancedBatchSampler(SIZE, batch_size=BATCH_SIZE, shuffle=True, seed=4))


def epoch_of(loader: BatchLoader, epoch: int) -> list[Batch]:
    loader.sampler.set_epoch(epoch)
    return list(loader)


def same(first: list[Batch], second: list[Batch]) -> bool:
    parts = ("index", "anchor", "label", "positive", "negative")
    return len(first) == len(second) and all(
        getattr(a, part) is getattr(b, part) is None or torch.equal(getattr(a, part), getattr(b, part))
        for a, b in zip(first, second, strict=True)
        for part in parts
    )


@pytest.mark.parametrize("kind", [ImageDataset, TripletDataset])
def test_a_batch_holds_the_items_that_its_index_names(kind: Kind) -> None:
    batches = loader(kind)

    for batch in epoch_of(batches, 2):
        items = batches.dataset.__getitems__(batch.index)
        parts = (batch.anchor, batch.label)
        if kind is TripletDataset:
            parts = (batch.anchor, batch.positive, batch.negative, batch.label)
        assert len(parts) == len(items)
        assert all(torch.equal(part, item) for part, item in zip(parts, items, strict=True))


def test_every_image_comes_once_an_epoch_in_as_many_batches_as_promised() -> None:
    batches = loader()

    seen = epoch_of(batches, 0)

    assert len(seen) == len(batches) == 5
    assert sorted(torch.cat([batch.index for batch in seen]).tolist()) == list(range(SIZE))


def test_the_epoch_changes_the_order_and_the_augmentation() -> None:
    batches = loader()
    first, second = epoch_of(batches, 0), epoch_of(batches, 1)

    assert [b.index.tolist() for b in first] != [b.index.tolist() for b in second]
    views = [
        {int(i): image for batch in epoch for i, image in zip(batch.index, batch.anchor, strict=True)}
        for epoch in (first, second)
    ]
    assert not any(torch.equal(views[0][i], views[1][i]) for i in range(SIZE))
    assert same(epoch_of(loader(), 1), second)


@pytest.mark.parametrize("kind", [ImageDataset, TripletDataset])
@pytest.mark.parametrize("done", [1, 3])
def test_a_run_stopped_in_an_epoch_resumes_with_the_next_batch(kind: Kind, done: int) -> None:
    interrupted = loader(kind)
    interrupted.sampler.set_epoch(3)
    iterator = iter(interrupted)
    for _ in range(done):
        next(iterator)
    state = interrupted.state_dict()

    resumed = loader(kind)
    resumed.load_state_dict(state)

    assert len(resumed) == 5
    assert same(epoch_of(resumed, 3), epoch_of(loader(kind), 3)[done:])
    # Only the epoch that was cut off is shorter.
    assert same(epoch_of(resumed, 4), epoch_of(loader(kind), 4))


@pytest.mark.parametrize("use", [lambda batches: None, list], ids=["begin", "end"])
def test_a_state_from_between_two_epochs_skips_nothing(use: Callable[[BatchLoader], object]) -> None:
    saved = loader()
    use(saved)

    resumed = loader()
    resumed.load_state_dict(saved.state_dict())

    assert same(epoch_of(resumed, 1), epoch_of(loader(), 1))


def test_the_state_of_a_resumed_epoch_counts_from_its_beginning() -> None:
    resumed = loader()
    resumed.load_state_dict({"handed_out": 2})  # as an earlier version saved it
    iterator = iter(resumed)
    next(iterator)

    assert resumed.state_dict() == {"images": SIZE * 3 // 5}


@pytest.mark.parametrize(("before", "now"), [(1, 2), (2, 1), (3, 2), (2, 4)])
@pytest.mark.parametrize("done", [1, 2])
def test_an_epoch_begun_by_other_processes_is_finished_without_leaving_an_image_out(
    before: int, now: int, done: int
) -> None:
    def of(rank: int, processes: int) -> BatchLoader:
        dataset = ImageDataset(torch.zeros(SIZE, 1, 8, 8, dtype=torch.uint8), torch.arange(SIZE) % 3)
        sampler = BalancedBatchSampler(SIZE, batch_size=3, shuffle=True, seed=4, rank=rank, world_size=processes)
        return BatchLoader(dataset, sampler)

    seen, states = [], []
    for rank in range(before):
        saved = of(rank, before)
        iterator = iter(saved)
        seen += [int(index) for _ in range(done) for index in next(iterator).index]
        states.append(saved.state_dict())
    assert len({state["images"] for state in states}) == 1
    lengths = set()
    for rank in range(now):
        resumed = of(rank, now)
        resumed.load_state_dict(states[0])
        batches = list(resumed)
        lengths.add(len(batches))
        assert len(batches) == resumed.sampler.steps_after(states[0]["images"])
        seen += [int(index) for batch in batches for index in batch.index]

    assert len(lengths) == 1
    assert sorted(seen) == list(range(SIZE))


@pytest.mark.parametrize("kind", [ImageDataset, TripletDataset])
def test_a_batch_moves_to_a_device_whole(kind: Kind) -> None:
    batch = next(iter(loader(kind)))

    moved = batch.to(torch.device("meta"))

    for part in ("index", "anchor", "label", "positive", "negative"):
        here, there = getattr(batch, part), getattr(moved, part)
        if here is None:
            assert there is None
        else:
            assert there.device.type == "meta"
            assert there.shape == here.shape
            assert there.dtype == here.dtype
