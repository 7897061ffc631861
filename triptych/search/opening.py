"""Creates and opens an index by its location: a folder, or the URLs of PostgreSQL databases."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from triptych.errors import SearchError
from triptych.search.contract import Index

SCHEMES = ("postgresql://", "postgres://")

Location = str | Path | Sequence[str]
"""A folder; or one URL, several separated by spaces, or a list of them. `#name` at the end of a URL names the index."""


def create_index(location: Location, *, dimension: int, fingerprint: str, model: str | None = None) -> Index:
    """Create an empty index.

    Args:
        location: A new or empty folder for the embedded index; or the URLs of PostgreSQL databases with pgvector, one
            for each shard, as in "postgresql://user@host/database#photos".
        dimension: Dimension of the embeddings.
        fingerprint: Fingerprint of their model; the index rejects others.
        model: Path of the model, as a hint for users.

    Raises:
        SearchError: The index already exists, the location cannot be used, or a package is not installed.
    """
    if isinstance(urls := _urls(location), Path):
        _require("faiss", extra="search")
        from triptych.search.embedded.index import EmbeddedIndex

        return EmbeddedIndex.create(urls, dimension=dimension, fingerprint=fingerprint, model=model)
    _require("psycopg", extra="postgres")
    from triptych.search.postgres.index import PostgresIndex

    return PostgresIndex.create(urls, dimension=dimension, fingerprint=fingerprint, model=model)


def open_index(location: Location) -> Index:
    """Open an index to search and to change it.

    Args:
        location: As in `create_index`; shards in any order.

    Raises:
        SearchError: There is no index, it is damaged, or a package is not installed.
    """
    if isinstance(urls := _urls(location), Path):
        _require("faiss", extra="search")
        from triptych.search.embedded.index import EmbeddedIndex

        return EmbeddedIndex(urls)
    _require("psycopg", extra="postgres")
    from triptych.search.postgres.index import PostgresIndex

    return PostgresIndex(urls)


def _urls(location: Location) -> Path | list[str]:
    """Return whether an address is a folder, not a URL."""
    if isinstance(location, Path):
        return location
    if isinstance(location, bytes) or not isinstance(location, Sequence):
        raise TypeError(f"an index is opened by its folder or its URLs, but got {type(location).__name__}")
    parts = [location] if isinstance(location, str) else list(location)
    if isinstance(location, str) and not location.startswith(SCHEMES):
        return Path(location)
    urls = [url for part in parts for url in str(part).split()]
    if not urls or not all(url.startswith(SCHEMES) for url in urls):
        raise SearchError(f"Expected a folder, or URLs that begin with {SCHEMES[0]}, got {len(urls)} other parts.")
    return urls


def _require(package: str, *, extra: str) -> None:
    if find_spec(package) is None:
        raise SearchError(
            f"Expected the package {package}, which is not installed. Install it with `pip install triptych[{extra}]`."
        )
