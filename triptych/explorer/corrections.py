"""The corrections that a user makes on the page, as a file for `dataset.corrections`."""

import csv
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from triptych.data.listing import listed
from triptych.errors import DataError
from triptych.evaluation.audit.corrections import Image, read_corrections, write_corrections
from triptych.explorer.collection import Collection
from triptych.text import csv_cell


class ChangedElsewhereError(DataError):
    """The corrections were changed since the page has read them."""


class CorrectionsFile:
    """A file of corrections, written whole at every step.

    It holds the corrections of the page's images as the page has them; those of other images stay as they are in the
    file. Where there is no file yet, it begins with the corrections that the labels of the run already have. A file
    that was changed elsewhere is read again before it is used.

    Args:
        path: The file, which may not exist.
        collection: The images of the page.

    Raises:
        DataError: There is a file, and it is no table of corrections.
    """

    def __init__(self, path: Path, collection: Collection) -> None:
        self.path = path
        self._classes = set(collection.classes)
        self._images = set(page_images(collection))
        self._seen = self._content()
        self._known = self._begun(collection.corrections)

    def text(self) -> str:
        """Return the current corrections as CSV.

        Raises:
            DataError: The file was changed, and is no table of corrections now.
        """
        self._read_again()
        return corrections_csv(self._known.items(), by_path=self._by_path)

    def save(self, text: str, *, revision: str | None = None) -> int:
        """Replace the corrections of the page's images, and write the file.

        Args:
            text: CSV with the columns path and label, or split, index and label.
            revision: That of the corrections which the page has last read or saved; None replaces any.

        Returns:
            The number of corrections in the file.

        Raises:
            DataError: The text is no such table, or names an image or a class that does not exist; or the file cannot
                be written.
            ChangedElsewhereError: The corrections have another revision: another page has saved some since.
        """
        self._read_again()
        if revision not in (None, self.revision):
            raise ChangedElsewhereError("Expected the corrections as they are saved, but they were changed elsewhere.")
        wanted = _parsed(text)
        unknown = [" ".join(image) for image in wanted if image not in self._images and image not in self._known]
        if unknown:
            raise DataError(f"Expected images of the page, got {listed(unknown)}. Reload the page.")
        strange = sorted({label for label in wanted.values() if label and label not in self._classes})
        if strange:
            raise DataError(f"Expected classes of the model, or nothing to drop an image; got {listed(strange)}.")
        kept = {image: label for image, label in self._known.items() if image not in self._images}
        found = kept | wanted
        try:
            write_corrections(self.path, found)
        except OSError as error:
            raise DataError(f"{self.path}: expected a file that can be written: {error.strerror}.") from error
        self._known, self._seen = found, self._content()
        return len(found)

    @property
    def revision(self) -> str:
        """The digest of the corrections: equal for the same ones."""
        return hashlib.blake2b(repr(sorted(self._known.items())).encode(), digest_size=12).hexdigest()

    def _content(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except OSError:
            return None

    def _read_again(self) -> None:
        content = self._content()
        if content is not None and content != self._seen:
            self._known, self._seen = read_corrections(self.path), content

    @property
    def _by_path(self) -> bool:
        return all(len(image) == 1 for image in [*self._known, *self._images])

    def _begun(self, earlier: Path | None) -> dict[Image, str]:
        for place in (self.path, earlier):
            if place is not None and place.exists():
                return read_corrections(place)
        return {}


def page_images(collection: Collection) -> list[Image]:
    """Name the images of a page as corrections do: by path, or by split and index."""
    if collection.names is not None:
        return [(name,) for name in collection.names]
    splits, positions = collection.split.tolist(), collection.position.tolist()
    return [(collection.split_names[split], str(index)) for split, index in zip(splits, positions, strict=True)]


def corrections_csv(corrections: Iterable[tuple[Image, str]], *, by_path: bool) -> str:
    """Return corrections as the text of a CSV file."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(("path", "label") if by_path else ("split", "index", "label"))
    writer.writerows((*map(csv_cell, image), csv_cell(label)) for image, label in corrections)
    return written.getvalue()


def _parsed(text: str) -> dict[Image, str]:
    """Read corrections from text, by the same function as from a file."""
    with TemporaryDirectory() as folder:
        place = Path(folder) / "corrections.csv"
        place.write_text(text, encoding="utf-8", newline="")
        try:
            return read_corrections(place)
        except DataError as error:
            raise DataError(str(error).replace(f"{folder}/", "")) from error
