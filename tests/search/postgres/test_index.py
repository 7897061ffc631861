"""What only the index in PostgreSQL does: columns, HNSW, shards, and servers that are not as they should be."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psycopg
import pytest

from triptych.errors import SearchError
from triptych.search.opening import create_index, open_index
from triptych.search.postgres import shard as module
from triptych.search.postgres.server import Server

FINGERPRINT = "f0"
QUERY = np.ones((1, 3))

NewUrl = Callable[[], str]


_numbers = itertools.count()


@pytest.fixture
def new_url(postgres: Any) -> NewUrl:
    return lambda: f"{postgres.url}#test_{next(_numbers)}"


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    server, _, name = url.partition("#")
    with psycopg.connect(server) as connection:
        return connection.execute(statement.format(table=f"triptych_index_{name}").encode()).fetchall()


def add(index: Any, count: int, **columns: Any) -> None:
    vectors = np.random.default_rng(0).standard_normal((count, 3))
    index.add([f"{number}.png" for number in range(count)], vectors, columns or None, fingerprint=FINGERPRINT)


def test_metadata_are_columns_that_other_programs_can_read(new_url: NewUrl) -> None:
    url = new_url()
    with create_index(url, dimension=3, fingerprint=FINGERPRINT) as index:
        add(index, 3, label=["cat", "dog", "cat"], share=[0.5, None, 1.0])

    found = rows(url, "SELECT label, count(*), sum(share) FROM {table} GROUP BY label ORDER BY label")

    assert found == [("cat", 2, 1.5), ("dog", 1, None)]


def test_another_connection_opens_the_same_index(new_url: NewUrl) -> None:
    url = new_url()
    create_index(url, dimension=3, fingerprint=FINGERPRINT, model="best.ckpt").close()
    with open_index(url) as one, open_index(url) as other:
        add(one, 5, label=["cat"] * 5)

        assert len(other.search(QUERY, fingerprint=FINGERPRINT)[0]) == 5
        assert other.settings() == one.settings()
        assert other.settings().model == "best.ckpt"


def test_many_rows_get_an_hnsw_index_that_agrees_with_exact_search_under_filters(
    new_url: NewUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "APPROXIMATE_FROM", 3_000)
    url, rng = new_url(), np.random.default_rng(0)
    with create_index(url, dimension=16, fingerprint=FINGERPRINT) as index:
        names = [f"{number}" for number in range(4_000)]
        percents = rng.integers(0, 100, 4_000)
        index.add(names, rng.standard_normal((4_000, 16)), {"percent": percents}, fingerprint=FINGERPRINT)
        assert index.info().approximate_rows == 0
        index.compact()
        assert index.info().approximate_rows == 4_000

        queries = rng.standard_normal((20, 16))
        for where in (None, "percent = 7", "percent < 50"):
            found, wanted = (
                [{one.id for one in some} for some in index.search(queries, where=where, exact=exact, fingerprint="f0")]
                for exact in (False, True)
            )
            assert all(len(one) == 10 for one in found)
            assert np.mean([len(one & other) / 10 for one, other in zip(found, wanted, strict=True)]) >= 0.98

    (row,) = rows(url, "SELECT indexdef FROM pg_indexes WHERE tablename = '{table}' AND indexdef LIKE '%hnsw%'")
    assert "vector_ip_ops" in row[0]


# Shards


def test_rows_are_divided_among_shards_and_found_in_all(new_url: NewUrl) -> None:
    urls = [new_url(), new_url(), new_url()]
    with create_index(urls, dimension=3, fingerprint=FINGERPRINT) as index:
        add(index, 300, number=np.arange(300))
        alone = [rows(url, "SELECT count(*) FROM {table}")[0][0] for url in urls]

        found = index.search(QUERY, 300, fingerprint=FINGERPRINT)[0]

        assert sum(alone) == 300
        assert min(alone) > 60
        assert {one.id for one in found} == {f"{number}.png" for number in range(300)}
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        assert index.delete(["7.png", "8.png", "9.png"]) == 3
        assert index.info().rows == 297
        assert index.info().parts == 3


def test_a_column_that_one_batch_brings_is_there_on_every_shard(new_url: NewUrl) -> None:
    with create_index([new_url(), new_url()], dimension=3, fingerprint=FINGERPRINT) as index:
        add(index, 20)
        index.add(["one"], QUERY, {"label": ["cat"]}, fingerprint=FINGERPRINT)

        assert [one.id for one in index.search(QUERY, where="label = 'cat'", fingerprint=FINGERPRINT)[0]] == ["one"]
        assert len(index.search(QUERY, 50, where="label is null", fingerprint=FINGERPRINT)[0]) == 20


def test_shards_are_opened_in_any_order_and_in_one_text(new_url: NewUrl) -> None:
    first, second = new_url(), new_url()
    with create_index(f"{first} {second}", dimension=3, fingerprint=FINGERPRINT) as index:
        add(index, 50)
    with open_index([second, first]) as index:
        add(index, 60)  # the same rows go to the same shards

        assert index.info().rows == 60


@pytest.mark.parametrize("chosen", [[0], [0, 0], [0, 2], [0, 1, 2]])
def test_shards_that_are_missing_or_of_another_index_are_rejected(new_url: NewUrl, chosen: list[int]) -> None:
    urls = [new_url(), new_url(), new_url()]
    create_index(urls[:2], dimension=3, fingerprint=FINGERPRINT).close()
    create_index(urls[2], dimension=3, fingerprint=FINGERPRINT).close()

    with pytest.raises(SearchError, match="Expected the 2 shards of one index, each once"):
        open_index([urls[number] for number in chosen])


# Servers and names that are not as they should be


def test_an_index_that_is_there_stays_as_it_is(new_url: NewUrl) -> None:
    other, there = new_url(), new_url()
    with create_index(there, dimension=3, fingerprint=FINGERPRINT) as index:
        add(index, 5)

        with pytest.raises(SearchError, match="expected a new name for the index"):
            create_index([other, there], dimension=3, fingerprint="0a")

        assert index.info().rows == 5
    with pytest.raises(SearchError, match="found none"):  # the first shard of the attempt is gone again
        open_index(other)


def test_a_name_without_an_index_is_an_error_that_explains_how_to_make_one(new_url: NewUrl) -> None:
    with pytest.raises(SearchError, match=r"triptych index MODEL IMAGES --out URL"):
        open_index(new_url())


def test_a_database_without_any_index_is_such_an_error_too(postgres: Any) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE nothing")

    with pytest.raises(SearchError, match=r"There is no index of this name"):
        open_index(postgres.url.removesuffix("postgres") + "nothing")


@pytest.mark.parametrize("place", ["127.0.0.1:1/x", "nowhere.invalid/x?bad=1"])
def test_a_server_that_cannot_be_reached_is_named_without_the_password(place: str) -> None:
    with pytest.raises(SearchError) as error:
        open_index(f"postgresql://user:secret@{place}")

    assert "secret" not in str(error.value)
    assert "ostgre" in str(error.value)


@pytest.mark.parametrize("name", ["Photos", "a-b", 'a"; DROP TABLE x', "x" * 41, "ä"])
def test_names_of_indexes_are_plain(name: str) -> None:
    with pytest.raises(SearchError, match="Expected a name of an index"):
        Server(f"postgresql://host/db#{name}")


def test_a_dimension_that_hnsw_cannot_hold_is_an_error(new_url: NewUrl) -> None:
    with pytest.raises(SearchError, match="at most 2,000, got 2,001"):
        create_index(new_url(), dimension=2_001, fingerprint=FINGERPRINT)


def test_a_catalogue_of_another_version_is_an_error(new_url: NewUrl, postgres: Any) -> None:
    url = new_url()
    create_index(url, dimension=3, fingerprint=FINGERPRINT).close()
    with psycopg.connect(postgres.url) as connection:
        statement = "UPDATE triptych_catalog SET settings = '{\"format\": 2}' WHERE name = %s"
        assert connection.execute(statement, (url.partition("#")[2],)).rowcount == 1

    with pytest.raises(SearchError, match="expected an index in format 1"):
        open_index(url)


def test_two_writers_at_once_lose_nothing(new_url: NewUrl) -> None:
    url = new_url()
    with create_index(url, dimension=3, fingerprint=FINGERPRINT) as index, open_index(url) as other:
        calls = [
            lambda number=number, writer=writer: writer.add(
                [f"{number}", "shared"], np.eye(3)[:2], {f"column_{number % 3}": [1, 2]}, fingerprint=FINGERPRINT
            )
            for number, writer in enumerate([index, other] * 5)
        ]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda call: call(), calls))

        assert index.info().rows == 11
        assert set(index.settings().columns) == {"column_0", "column_1", "column_2"}
