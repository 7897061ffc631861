"""One shard of an index in PostgreSQL: a table with ids, vectors and metadata as columns, and its settings.

Every value goes to the server as a parameter or through COPY; names are quoted by psycopg. Letters: Q queries, E
embedding dimension.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from psycopg import sql
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triptych.errors import SearchError
from triptych.search.calibration import Calibration
from triptych.search.conditions import Condition, Kind
from triptych.search.filters import SQL_TYPES, identifier, sql_condition
from triptych.search.postgres.server import Server, require_pgvector
from triptych.search.rows import Floats, Rows, join_columns

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg import Connection

CATALOG = sql.Identifier("triptych_catalog")
MOST_DIMENSIONS = 2_000
"""Maximum dimension of a vector in pgvector's HNSW index."""
APPROXIMATE_FROM = 50_000
"""Minimum number of rows for an HNSW index."""
EF_SEARCH = (40, 100, 200, 400, 800)
WANTED_RECALL = 0.99
SAMPLE = 50
PLAIN_DIMENSIONS = 1_900
"""Maximum dimension at which a row with its vector fits into a page, which avoids a second look-up."""

Found = tuple[float, str, dict[str, Any]]
"""Score, id and metadata of a row."""


class Stored(BaseModel):
    """Settings of a shard, stored in its catalogue.

    Attributes:
        group: Identifier of the index, the same for all its shards.
        shard: Number of this one.
        shards: Number of shards.
        ef_search: Number of candidates of the HNSW search; None before the HNSW index is built.
        recall: recall@10, measured when it was built.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: int = Field(default=1, ge=1, le=1)
    fingerprint: str
    dimension: int = Field(ge=1, le=MOST_DIMENSIONS)
    model: str | None = None
    columns: dict[str, Kind] = {}
    calibration: Calibration | None = None
    group: str
    shard: int = Field(ge=0)
    shards: int = Field(ge=1)
    ef_search: int | None = Field(default=None, ge=1, le=1000)
    recall: float | None = Field(default=None, ge=0, le=1)


class Shard:
    """One shard, on one server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._table = sql.Identifier(f"triptych_index_{server.name}")

    def create(self, stored: Stored) -> None:
        """Create the table.

        Raises:
            SearchError: It already exists, or the server does not have pgvector.
        """
        place = self.server.place
        with self.server.transaction() as connection:
            require_pgvector(connection, place)
            connection.execute(
                sql.SQL("CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, settings text NOT NULL)").format(CATALOG)
            )
            statement = sql.SQL("INSERT INTO {} VALUES (%s, %s) ON CONFLICT DO NOTHING").format(CATALOG)
            if not connection.execute(statement, (self.server.name, stored.model_dump_json())).rowcount:
                raise SearchError(f"{place}: expected a new name for the index, but it is there. Choose another #name.")
            connection.execute(
                sql.SQL('CREATE TABLE {} (id text COLLATE "C" PRIMARY KEY, embedding vector({}) NOT NULL)').format(
                    self._table, sql.Literal(stored.dimension)
                )
            )
            if stored.dimension <= PLAIN_DIMENSIONS:
                connection.execute(
                    sql.SQL("ALTER TABLE {} ALTER COLUMN embedding SET STORAGE PLAIN").format(self._table)
                )

    def drop(self) -> None:
        """Remove the table and its entry in the catalogue."""
        with self.server.transaction() as connection:
            connection.execute(sql.SQL("DROP TABLE {}").format(self._table))
            connection.execute(sql.SQL("DELETE FROM {} WHERE name = %s").format(CATALOG), (self.server.name,))

    def stored(self) -> Stored:
        """Return the settings of the shard.

        Raises:
            SearchError: There is no index of the name, or it was made by another version.
        """
        with self.server.transaction() as connection:
            return self._read(connection)

    def change(self, *, columns: Mapping[str, Kind] | None = None, **changes: object) -> None:
        """Add missing columns, and change other settings."""
        with self.server.transaction() as connection:
            before = self._read(connection, to_change=True)
            joined = join_columns(before.columns, columns or {})
            for name in [name for name in joined if name not in before.columns]:
                connection.execute(
                    sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {}").format(
                        self._table, sql.Identifier(name), sql.SQL(SQL_TYPES[joined[name]])
                    )
                )
            stored = before.model_copy(update={**changes, "columns": joined})
            statement = sql.SQL("UPDATE {} SET settings = %s WHERE name = %s").format(CATALOG)
            connection.execute(statement, (stored.model_dump_json(), self.server.name))

    def add(self, rows: Rows) -> None:
        """Add rows, and replace existing ones, in one transaction. Their columns must exist."""
        names = ["id", "embedding", *rows.columns]
        types = ["text", "vector", *(SQL_TYPES[kind].split(" COLLATE")[0] for kind in rows.columns.values())]
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        replaced = sql.SQL(", ").join(
            sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in names if name != "id"
        )
        with self.server.transaction() as connection:
            self._read(connection, to_change=True)  # one writer at a time
            connection.execute(sql.SQL("CREATE TEMP TABLE incoming (LIKE {}) ON COMMIT DROP").format(self._table))
            copy_in = sql.SQL("COPY incoming ({}) FROM STDIN WITH (FORMAT BINARY)").format(columns)
            values = [rows.column(name).to_pylist() for name in rows.columns]
            with connection.cursor() as cursor, cursor.copy(copy_in) as copy:
                copy.set_types(types)
                for row in zip(rows.ids.to_pylist(), rows.vectors, *values, strict=True):
                    copy.write_row(row)
            connection.execute(
                sql.SQL("INSERT INTO {} ({}) SELECT {} FROM incoming ON CONFLICT (id) DO UPDATE SET {}").format(
                    self._table, columns, columns, replaced
                )
            )

    def delete(self, ids: "pa.Array") -> int:
        """Remove rows by id, and return their number."""
        with self.server.transaction() as connection:
            self._read(connection, to_change=True)
            statement = sql.SQL("DELETE FROM {} WHERE id = ANY(%s::text[])").format(self._table)
            return connection.execute(statement, (ids.to_pylist(),)).rowcount

    def search(self, queries: Floats, k: int, condition: Condition | None, *, exact: bool) -> list[list[Found]]:
        """Return for each query (Q, E) the k nearest rows for which a condition holds, nearest first."""
        with self.server.transaction() as connection:
            stored = self._read(connection)
            approximate = stored.ef_search is not None and not exact
            found = []
            for query in queries:
                rows = self._nearest(connection, stored, query, k, condition, approximate=approximate)
                if approximate and len(rows) < k:  # the scan of the graph ended before it found k rows
                    rows = self._nearest(connection, stored, query, k, condition, approximate=False)
                found.append(rows)
            return found

    def counts(self) -> tuple[int, int]:
        """Return the number of rows, and the bytes of table and indexes on the disk."""
        with self.server.transaction() as connection:
            table = self._table.as_string(connection)
            statement = sql.SQL("SELECT count(*), pg_total_relation_size(%s::regclass) FROM {}").format(self._table)
            row = connection.execute(statement, (table,)).fetchone()
            assert row is not None
            return int(row[0]), int(row[1])

    def compact(self) -> None:
        """Free space, and build the HNSW index if there are many rows and none yet."""
        with self.server.alone() as connection:
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(self._table))
        rows, _ = self.counts()
        if rows < APPROXIMATE_FROM or self.stored().ef_search is not None:
            return
        with self.server.transaction() as connection:
            stored = self._read(connection, to_change=True)
            needed = min(2**21, max(2**16, rows * (4 * stored.dimension + 400) // 2**10))
            connection.execute("SELECT set_config('maintenance_work_mem', %s, true)", (f"{needed}kB",))
            connection.execute(
                sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING hnsw (embedding vector_ip_ops)").format(
                    sql.Identifier(f"triptych_hnsw_{self.server.name}"), self._table
                )
            )
        ef_search, recall = self._choose_ef_search()
        self.change(ef_search=ef_search, recall=recall)

    def _choose_ef_search(self) -> tuple[int, float]:
        """Return the smallest setting with sufficient recall on a sample, and that recall; else the largest."""
        with self.server.transaction() as connection:
            stored = self._read(connection)
            sample = connection.execute(
                sql.SQL("SELECT id, embedding FROM {} ORDER BY md5(id) LIMIT %s").format(self._table), (SAMPLE,)
            ).fetchall()
            rows = [(str(name), vector.to_numpy()) for name, vector in sample]
            wanted = [self._others(connection, stored, *row, approximate=False) for row in rows]
            ef_search, recall = EF_SEARCH[-1], 0.0
            for ef_search in EF_SEARCH:
                tried = stored.model_copy(update={"ef_search": ef_search})
                found = [self._others(connection, tried, *row, approximate=True) for row in rows]
                shares = [len(one & other) / max(1, len(other)) for one, other in zip(found, wanted, strict=True)]
                recall = float(np.mean(shares))
                if recall >= WANTED_RECALL:
                    break
        return ef_search, recall

    def _others(
        self, connection: "Connection[Any]", stored: Stored, name: str, vector: Floats, *, approximate: bool
    ) -> set[str]:
        found = self._nearest(connection, stored, vector, 11, None, approximate=approximate)
        return {other for _, other, _ in found if other != name}

    def _nearest(
        self,
        connection: "Connection[Any]",
        stored: Stored,
        query: Floats,
        k: int,
        condition: Condition | None,
        *,
        approximate: bool,
    ) -> list[Found]:
        settings = {
            "enable_indexscan": "on" if approximate else "off",
            "hnsw.ef_search": str(min(1000, max(stored.ef_search or EF_SEARCH[0], 2 * k))),
            "hnsw.iterative_scan": "strict_order",
            "hnsw.max_scan_tuples": str(2**31 - 1),
            "hnsw.scan_mem_multiplier": "16",
        }
        calls = sql.SQL(", ").join([sql.SQL("set_config(%s, %s, true)")] * len(settings))
        connection.execute(sql.SQL("SELECT {}").format(calls), [part for pair in settings.items() for part in pair])
        columns = sql.SQL("").join(sql.SQL(", {}").format(identifier(name)) for name in stored.columns)
        where, values = sql_condition(condition, stored.columns) if condition is not None else (sql.SQL("true"), [])
        statement = sql.SQL(
            "SELECT -(embedding <#> %s), id{} FROM {} WHERE {} ORDER BY embedding <#> %s LIMIT %s"
        ).format(columns, self._table, where)
        rows = connection.execute(statement, [query, *values, query, k]).fetchall()
        return [(float(score), name, dict(zip(stored.columns, rest, strict=True))) for score, name, *rest in rows]

    def _read(self, connection: "Connection[Any]", *, to_change: bool = False) -> Stored:
        statement = sql.SQL("SELECT settings FROM {} WHERE name = %s {}").format(
            CATALOG, sql.SQL("FOR UPDATE" if to_change else "")
        )
        row = connection.execute(statement, (self.server.name,)).fetchone()
        if row is None:
            raise SearchError(
                f"{self.server.place}: expected an index of this name, found none. Make it with `triptych index MODEL "
                "IMAGES --out URL`, or check the #name."
            )
        try:
            return Stored.model_validate_json(row[0])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise SearchError(
                f"{self.server.place}: expected an index in format 1, but its {place}: {first['msg']}. Use the version "
                "of Triptych that made it."
            ) from None
