"""The images of a job as a list: their ids, where they are, and their labels; nothing is decoded for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from triptych.data.own.names import natural_key
from triptych.data.pixels.opening import EXTENSIONS
from triptych.errors import DataError


@dataclass(frozen=True)
class ImageList:
    """Images, in an order that depends on their names alone.

    Attributes:
        places: Absolute paths, or URLs, (N,): each is the id of its image, too.
        labels: The name of the folder in which an image lies below the one that was named, (N,); None for one that lies
            in that folder itself.
    """

    places: Sequence[str]
    labels: Sequence[str | None]


def list_sources(images: str | Path) -> ImageList:
    """List the images in a folder, or below a URL that fsspec knows, or one image alone.

    Raises:
        DataError: There are none, or the library for the URL is missing.
    """
    if "://" in str(images):
        return _list_url(str(images))
    from triptych.data.own.unlabelled import image_files

    place = Path(images).expanduser().absolute()
    if not place.exists():
        raise DataError(f"{place}: expected a folder of images or an image, but there is nothing. Check the path.")
    if place.is_file():
        return ImageList([str(place)], [None])
    files = image_files(place)
    labels = [None if file.parent == place else file.parent.name for file in files]
    return ImageList([str(file) for file in files], labels)


def read_source(place: str) -> Path | bytes:
    """Return a file to be opened, or the bytes behind a URL.

    Raises:
        OSError: The URL cannot be read.
    """
    if "://" not in place:
        return Path(place)
    import fsspec

    with fsspec.open(place, "rb") as stream:
        content: bytes = stream.read()
    return content


def _list_url(url: str) -> ImageList:
    try:
        import fsspec

        system, root = fsspec.core.url_to_fs(url)
        found = system.find(root) if not system.isfile(root) else [root]
    except ImportError as error:
        raise DataError(f"{url}: a library is missing: {error}. Install it with pip.") from error
    except Exception as error:  # each file system has errors of its own
        raise DataError(f"{url}: expected a folder of images, but it cannot be listed: {error}.") from error
    root = root.rstrip("/")
    kept = [
        path
        for path in found
        if Path(path).suffix.lower() in EXTENSIONS
        and not any(part.startswith(".") for part in path.removeprefix(root).split("/"))
    ]
    if not kept:
        raise DataError(f"{url}: expected images ({', '.join(sorted(EXTENSIONS))}), but there are none.")
    kept.sort(key=natural_key)
    parents = [path.rpartition("/")[0] for path in kept]
    labels = [
        None if root in (parent, path) else parent.rpartition("/")[2]
        for path, parent in zip(kept, parents, strict=True)
    ]
    return ImageList([str(system.unstrip_protocol(path)) for path in kept], labels)
