"""A folder of images of which two cannot be read."""

from pathlib import Path

import pytest


@pytest.fixture
def photos(pictures: Path) -> Path:
    """Six good images, and two files that are none."""
    (pictures / "cut.png").write_bytes((pictures / "b.png").read_bytes()[:60])
    (pictures / "deeper" / "text.jpg").write_text("no image")
    return pictures
