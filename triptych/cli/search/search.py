"""`triptych search`: the images of an index that are nearest to an image."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from triptych.cli.options import HELP

if TYPE_CHECKING:
    from triptych.search import Match


@click.command(short_help="Find the nearest images of an index.", context_settings=HELP)
@click.argument("place", metavar="INDEX")
@click.argument("query", metavar="IMAGE", type=click.Path(path_type=Path))
@click.option("-k", "count", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many.")
@click.option("--where", metavar="FILTER", help="Search only there: \"label = 'cat' and probability > .9\".")
@click.option("--exact", is_flag=True, help="Compare with every image of a large index.")
@click.option("--show", metavar="FILE.png", type=click.Path(path_type=Path), help="Write a picture of the results.")
@click.option("--model", metavar="MODEL", help="The index's model, if it has moved since.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")
def search(
    *,
    place: str,
    query: Path,
    count: int,
    where: str | None,
    exact: bool,
    show: Path | None,
    model: str | None,
    as_json: bool,
) -> None:
    """Find the images of INDEX that are nearest to IMAGE, with their cosine similarity.

    FILTER compares the index's columns (see `triptych index info`) with = != < <= > >=, `in ('a', 'b')` and `is null`,
    joined by `and`, `or`, `not` and parentheses. Of a calibrated index, matches are marked.
    """
    import json

    from triptych.files import replacing
    from triptych.runs.metrics_file import jsonable
    from triptych.search import open_index
    from triptych.search.images import search_images
    from triptych.text import terminal_text

    with open_index(place) as opened:
        (matches,) = search_images(opened, [query], count, where=where, exact=exact, model=model)
    if show is not None:
        from triptych.search.picture import search_picture

        with replacing(show) as temporary:
            search_picture(query, matches).save(temporary, format="PNG")
    if as_json:
        content = [
            {"id": one.id, "score": one.score, "matches": one.matches, "metadata": one.metadata} for one in matches
        ]
        click.echo(json.dumps(jsonable({"query": str(query), "results": content}), indent=2))
        return
    _print_table(matches)
    if show is not None:
        click.echo(terminal_text(f"Picture: {show}"))


def _print_table(matches: "list[Match]") -> None:
    from triptych.text import terminal_text

    if not matches:
        click.echo("No image was found: the index is empty, or the filter keeps none.")
        return
    words = {None: "", True: "match", False: "no match"}
    labels = [str(one.metadata.get("label") or one.metadata.get("prediction") or "") for one in matches]
    width = min(30, max(map(len, labels)))
    for rank, (one, label) in enumerate(zip(matches, labels, strict=True), 1):
        place = one.metadata.get("path") or one.id
        verdict = f"{words[one.matches]:<10}" if one.matches is not None else ""
        click.echo(terminal_text(f"{rank:>4}  {one.score:7.4f}  {verdict}{label:<{width}}  {place}"))
