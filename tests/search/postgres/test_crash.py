"""A primary that is killed during inserts: nothing acknowledged is lost, on the primary and on its replica."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from triptych.errors import SearchError
from triptych.search.contract import Index
from triptych.search.opening import create_index, open_index

FINGERPRINT = "f0"
DURABLE = {"fsync": "on", "wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on"}


def add_until_it_fails(index: Index, acknowledged: list[int], *, first: int) -> None:
    number = first
    while True:
        vectors = np.random.default_rng(number).standard_normal((5, 3))
        ids = [f"{number}-{part}" for part in range(5)]
        try:
            index.add(ids, vectors, {"batch": [number] * 5}, fingerprint=FINGERPRINT)
        except SearchError:
            return
        acknowledged.append(number)
        number += 1


def batches(index: Index) -> dict[int, int]:
    """The number of rows of each batch."""
    found = index.search(np.ones((1, 3)), 10_000, exact=True, fingerprint=FINGERPRINT)[0]
    counts: dict[int, int] = {}
    for one in found:
        batch = one.metadata["batch"]
        assert isinstance(batch, int)
        counts[batch] = counts.get(batch, 0) + 1
    return counts


def killed_while_adding(server: Any, index: Index, *, first: int, batches: int) -> list[int]:
    acknowledged: list[int] = []
    writer = threading.Thread(target=add_until_it_fails, args=(index, acknowledged), kwargs={"first": first})
    writer.start()
    while len(acknowledged) < batches and writer.is_alive():
        writer.join(0.01)
    server.kill()
    writer.join()
    return acknowledged


@pytest.fixture
def primary(make_server: Callable[[], Any]) -> Any:
    server = make_server()
    server.make()
    server.start(**DURABLE)
    return server


def test_a_killed_server_restarts_with_all_acknowledged_rows_and_open_indexes_work(primary: Any) -> None:
    with create_index(primary.url, dimension=3, fingerprint=FINGERPRINT) as index:
        acknowledged = killed_while_adding(primary, index, first=0, batches=20)
        with pytest.raises(SearchError, match="PostgreSQL reports"):
            index.info()
        primary.start(**DURABLE)

        found = batches(index)  # the same object, whose connection is dead

        assert len(acknowledged) >= 20
        assert set(acknowledged) <= set(found)
        assert set(found) <= {*acknowledged, acknowledged[-1] + 1}
        assert set(found.values()) == {5}  # whole batches


def test_a_replica_answers_takes_no_changes_and_replaces_a_killed_primary(
    primary: Any, make_server: Callable[[], Any]
) -> None:
    replica = make_server()
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{replica.port}"
    url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=primary"
    create_index(primary.url, dimension=3, fingerprint=FINGERPRINT).close()
    replica.copy(primary, name="replica")
    replica.start()
    primary.stop()
    # What is acknowledged has been applied by the replica.
    primary.start(**DURABLE, synchronous_standby_names="replica", synchronous_commit="remote_apply")

    with open_index(url) as index, open_index(replica.url) as reader:
        index.add(["0-0"], np.ones((1, 3)), {"batch": [0]}, fingerprint=FINGERPRINT)
        assert batches(reader) == {0: 1}
        with pytest.raises(SearchError, match="A replica takes no changes"):
            reader.add(["x"], np.ones((1, 3)), {"batch": [9]}, fingerprint=FINGERPRINT)

        acknowledged = killed_while_adding(primary, index, first=1, batches=15)
        assert set(acknowledged) <= set(batches(reader))
        replica.promote()

        found = batches(index)
        assert set(acknowledged) <= set(found)
        index.add(["after"], np.ones((1, 3)), {"batch": [10_000]}, fingerprint=FINGERPRINT)
        assert batches(reader)[10_000] == 1


def test_two_shards_on_two_servers_of_which_one_is_killed(primary: Any, postgres: Any) -> None:
    urls = [f"{primary.url}#divided", f"{postgres.url}#divided"]
    with create_index(urls, dimension=3, fingerprint=FINGERPRINT) as index:
        acknowledged = killed_while_adding(primary, index, first=0, batches=10)
        with pytest.raises(SearchError, match=f"127.0.0.1:{primary.port}"):
            batches(index)
        primary.start(**DURABLE)

        found = batches(index)

        assert all(found[number] == 5 for number in acknowledged)
