"""Examines the images of a config before training: files, labels, pixels and duplicates; for `triptych doctor`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from triptych.config.datasets import OWN_IMAGES
from triptych.config.loader import ConfigLike, load_config
from triptych.config.schema import RunConfig
from triptych.data.builder import decode_listing, divide
from triptych.data.listing import SPLITS, Listing
from triptych.data.module import ImageDataModule
from triptych.inspection.findings.file_findings import Sizes, file_findings, measured_sizes
from triptych.inspection.findings.finding import Finding, Severity
from triptych.inspection.findings.label_findings import class_counts, label_findings
from triptych.inspection.findings.pixel_findings import (
    FoundDuplicates,
    content_findings,
    duplicate_findings,
    duplicates_of,
    flip_findings,
)
from triptych.inspection.flips import advise_flips
from triptych.inspection.survey import survey

ORDER = list(Severity)


@dataclass(frozen=True, eq=False)
class Examination:
    """Properties and problems of the images of a config.

    Attributes:
        config: The config, completed by what the images decide, such as their channels.
        data: The images, without those that cannot be decoded.
        listing: The images as listed.
        sizes: Sizes of the image files; None for known data sets, whose images have one size.
        duplicates: Pairs of equal or nearly equal images.
        findings: All findings, the most serious first.
    """

    config: RunConfig
    data: ImageDataModule
    listing: Listing
    sizes: Sizes | None
    duplicates: FoundDuplicates
    findings: tuple[Finding, ...]

    @property
    def has_errors(self) -> bool:
        """Whether training would fail, or its metrics would be misleading."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the images of each class in each split."""
        by_split = {name: class_counts(self.data, name).tolist() for name in SPLITS}
        return {
            name: {split: counts[label] for split, counts in by_split.items()}
            for label, name in enumerate(self.data.classes)
        }

    def facts(self) -> dict[str, Any]:
        """Return everything as plain values that can be written as JSON."""
        mean, deviation = self.data.pixel_statistics()
        channels, height, width = self.config.dataset.image_shape
        return {
            "data": self.data.title,
            "has_errors": self.has_errors,
            "image": {"channels": channels, "height": height, "width": width},
            "images": {name: len(getattr(self.data, name)) for name in SPLITS},
            "classes": self.counts(),
            "files": None if self.sizes is None else self.sizes.summary(),
            "pixel_mean": list(mean),
            "pixel_deviation": list(deviation),
            "findings": [finding._asdict() for finding in self.findings],
        }


def examine(config: ConfigLike, overrides: Sequence[str] = ()) -> Examination:
    """Examine the images of a config for everything that would make training fail or its metrics misleading.

    Decoded images stay in the cache, where training finds them.

    Args:
        config: The path of a YAML file, a mapping of the same form, or a loaded config.
        overrides: Each `section.key=value`, as in the command line's `--set`.

    Raises:
        ConfigError: The config is invalid.
        DataError, DownloadError: There are no images, or they cannot be divided into splits.

    Example:
        >>> found = examine({"dataset": {"name": "digits"}})
        >>> found.has_errors, [finding.topic for finding in found.findings]
        (False, ['leakage into test', 'duplicates'])
        >>> found.counts()["7"]
        {'train': 129, 'validation': 14, 'test': 36}
    """
    run = load_config(config, overrides)
    found = decode_listing(run)
    run, listing = found.config, found.listing
    is_own = run.dataset.name in OWN_IMAGES
    sizes, findings = None, []
    if is_own:
        sizes = measured_sizes(listing, threads=run.dataset.num_workers)
        findings += file_findings(run.dataset, found, sizes)
    data = ImageDataModule(run, divide(found, on_corrupt="skip" if is_own else "error"))
    findings += label_findings(run, data)
    findings += content_findings(data)
    if run.dataset.augmentation.horizontal_flip:
        # Decided by the files, as in `suggest_config`: bars and cuts of the config's size do not matter. Of known data
        # sets names decide: their pixels were tried when the shipped configs were measured.
        flips = survey(listing, threads=run.dataset.num_workers).flips if is_own else advise_flips(data.classes, None)
        findings += flip_findings(flips)
    duplicates = duplicates_of(data)
    findings += duplicate_findings(duplicates)
    ordered = tuple(sorted(findings, key=lambda one: ORDER.index(one.severity)))
    return Examination(run, data, listing, sizes, duplicates, ordered)
