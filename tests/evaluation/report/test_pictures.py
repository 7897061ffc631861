import torch

from triptych.evaluation.report.pictures import drawn_images


def test_every_class_comes_once_before_one_comes_twice() -> None:
    labels = torch.tensor([0] * 50 + [1] * 3 + [2] * 40)

    drawn = drawn_images(labels, count=9)

    rounds = [sorted(labels[drawn[start : start + 3]].tolist()) for start in (0, 3, 6)]
    assert rounds == [[0, 1, 2]] * 3
    assert len(set(drawn.tolist())) == 9


def test_the_draw_is_the_same_every_time_and_not_simply_the_first() -> None:
    labels = torch.arange(100) % 10

    first = drawn_images(labels, count=10)

    assert torch.equal(first, drawn_images(labels, count=10))
    assert torch.equal(first[:4], drawn_images(labels, count=4))
    assert first.tolist() != sorted(first.tolist())
    assert first.max() > 20


def test_there_are_no_more_than_there_are() -> None:
    assert sorted(drawn_images(torch.tensor([1, 1]), count=5).tolist()) == [0, 1]
