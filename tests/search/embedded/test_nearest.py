import numpy as np
import pytest

from triptych.search.embedded import nearest as module
from triptych.search.embedded.nearest import best, nearest


def test_the_largest_dot_products_of_some_rows_are_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", 7)
    rng = np.random.default_rng(0)
    vectors, queries = rng.standard_normal((100, 4), np.float32), rng.standard_normal((5, 4), np.float32)
    among = np.flatnonzero(rng.random(100) < 0.4)

    scores, rows = nearest(queries, vectors, 10, among)

    products = queries @ vectors[among].T
    order = np.argsort(-products, axis=1)[:, :10]
    assert (rows == among[order]).all()
    assert np.allclose(scores, np.take_along_axis(products, order, 1))


def test_fewer_rows_than_requested_are_all_returned() -> None:
    scores, rows = nearest(np.ones((1, 2), np.float32), np.eye(2, dtype=np.float32), 10)

    assert (scores.shape, sorted(rows[0])) == ((1, 2), [0, 1])


def test_of_equal_scores_the_first_come_first() -> None:
    _, rows = best(np.array([[1, 2, 2, 1]], np.float32), np.array([[4, 3, 2, 1]]), 3)

    assert rows.tolist() == [[3, 2, 4]]
