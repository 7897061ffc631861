"""The templates, styles and scripts of the report and the audit page."""

from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> "Environment":
    """Return the environment that renders the templates of this folder; all text in them is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # Class and file names are the user's: whatever is written into the page is escaped.
    templates = Environment(
        loader=PackageLoader("triptych.evaluation", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    templates.filters["base64"] = lambda content: b64encode(content).decode()
    return templates
