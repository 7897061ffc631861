"""Protection against foreign pages: allowed hosts, and a token inside the explorer's own page."""

HEADER = "X-Triptych-Token"
"""The header in which the page sends its token."""
META = "token"
"""The name of the page's meta element that holds it."""


def allowed_hosts(port: int) -> frozenset[str]:
    """Return the values of the Host header for requests from this machine.

    Example:
        >>> sorted(allowed_hosts(8000))
        ['127.0.0.1:8000', 'localhost:8000']
    """
    return frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))


def with_token(page: str, token: str) -> str:
    """Write the token into the head of a page.

    Example:
        >>> with_token("<html><head></head></html>", "abc")
        '<html><head><meta name="token" content="abc"></head></html>'
    """
    before, head, after = page.partition("<head>")
    assert head, "the page has a head"
    return f'{before}{head}<meta name="{META}" content="{token}">{after}'
