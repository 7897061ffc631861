"""Puts a newly built page around the blobs of an older one: `repack.py PAGE.html...`."""

import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "triptych" / "explorer" / "page" / "page.html"
START = '<script type="application/gzip+base64"'

if __name__ == "__main__":
    head, _, tail = PAGE.read_text(encoding="utf-8").rpartition("</body>")
    for name in sys.argv[1:]:
        blobs = START + Path(name).read_text(encoding="utf-8").partition(START)[2].rpartition("</body>")[0]
        Path(name).write_text(f"{head}{blobs}</body>{tail}", encoding="utf-8")
