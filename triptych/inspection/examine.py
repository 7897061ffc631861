"""The examination of a run's images as a story: list, decode, divide, count, compare."""

from dataclasses import dataclass
from typing import Any

from triptych.config.datasets import OWN_IMAGES
from triptych.config.schema import RunConfig
from triptych.data.builder import decode_listing, divide
from triptych.data.module import ImageDataModule
from triptych.inspection.file_findings import Sizes, file_findings, measured_sizes
from triptych.inspection.finding import Finding, Severity
from triptych.inspection.label_findings import class_counts, label_findings
from triptych.inspection.pixel_findings import SPLITS, content_findings, copy_findings, find_copies

ORDER = list(Severity)


@dataclass(frozen=True, eq=False)
class Examination:
    """What was seen.

    Attributes:
        config: The run, with what its images decide.
        data: Its images, without those that cannot be decoded.
        sizes: Of the files; None for known data sets, whose images are of one size.
        findings: The worst first.
    """

    config: RunConfig
    data: ImageDataModule
    sizes: Sizes | None
    findings: tuple[Finding, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether training would fail, or its figures would not mean what they say."""
        return any(finding.severity is Severity.WRONG for finding in self.findings)

    def counts(self) -> dict[str, dict[str, int]]:
        """Images of each class in each split."""
        by_split = {name: class_counts(self.data, name).tolist() for name in SPLITS}
        return {
            name: {split: counts[label] for split, counts in by_split.items()}
            for label, name in enumerate(self.data.classes)
        }

    def facts(self) -> dict[str, Any]:
        """Return all of it as plain values, for machines."""
        mean, deviation = self.data.pixel_statistics()
        channels, height, width = self.config.dataset.image_shape
        return {
            "data": self.data.title,
            "is_wrong": self.is_wrong,
            "image": {"channels": channels, "height": height, "width": width},
            "images": {name: len(getattr(self.data, name)) for name in SPLITS},
            "classes": self.counts(),
            "files": None if self.sizes is None else self.sizes.summary(),
            "pixel_mean": list(mean),
            "pixel_deviation": list(deviation),
            "findings": [finding._asdict() for finding in self.findings],
        }


def examine(config: RunConfig) -> Examination:
    """Examine the images of a run; what has to be decoded for it goes to the cache, where training finds it.

    Raises:
        ConfigError, DataError, DownloadError: There are no images, or no way to divide them.
    """
    sizes, findings = None, []
    found = decode_listing(config)
    config = found.config
    is_own = config.dataset.name in OWN_IMAGES
    if is_own:
        sizes = measured_sizes(found.listing, threads=config.dataset.num_workers)
        findings += file_findings(config.dataset, found, sizes)
    data = ImageDataModule(config, divide(found, on_corrupt="skip" if is_own else "error"))
    findings += label_findings(config, data)
    findings += content_findings(config, data)
    findings += copy_findings(find_copies(data))
    return Examination(config, data, sizes, tuple(sorted(findings, key=lambda one: ORDER.index(one.severity))))
