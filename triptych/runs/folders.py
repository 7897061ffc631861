"""Output folders of a run: its numbered version folder, and the folder of checkpoints of its data set."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolders:
    """The paths of one run in the output directory.

    Attributes:
        root: The output directory (`--output`).
        dataset: The data set's name.
        version: The run's number among the runs on this data set.
    """

    root: Path
    dataset: str
    version: int

    @property
    def name(self) -> str:
        """The name of the run on the command line: "digits/3"."""
        return f"{self.dataset}/{self.version}"

    @property
    def tensorboard(self) -> Path:
        """The log directory for TensorBoard."""
        return self.root / "img_tasks" / self.dataset

    @property
    def version_folder(self) -> Path:
        """Logs, config, metrics and pictures of this run."""
        return self.tensorboard / "experiment" / f"version_{self.version}"

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.version_folder / "config.yaml"

    @property
    def metrics(self) -> Path:
        """The metrics; training writes them at its end."""
        return self.version_folder / "metrics.json"

    @property
    def lock(self) -> Path:
        """A file that is locked while the run trains."""
        return self.version_folder / ".lock"

    def per_image(self, split: str) -> Path:
        """The table of the best checkpoint's results for every image of a split."""
        return self.version_folder / f"per_image_{split}.parquet"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of all runs on the data set."""
        return self.root / "lightning_checkpoints" / self.dataset

    @property
    def last(self) -> Path:
        """The last state of this run; `last.ckpt` next to it points to that of the latest run."""
        return self.checkpoints / f"version_{self.version}-last.ckpt"

    @property
    def checkpoint_list(self) -> Path:
        """The names of the checkpoints that are this run's own."""
        return self.version_folder / "checkpoints.json"

    def is_newest(self) -> bool:
        """Return whether no later run on the data set has saved anything."""
        return self.version >= max(_saved_versions(self), default=self.version)

    def others(self) -> Iterator["RunFolders"]:
        """Yield the other runs with a version folder whose checkpoints are in the same folder.

        These are the runs on the data set; if the folder is a link to another output directory, also the runs in that.
        """
        for version in _begun_versions(self):
            if version != self.version:
                yield RunFolders(self.root, self.dataset, version)
        real, own = self.checkpoints.resolve(), self.version_folder.resolve()
        elsewhere = RunFolders(real.parents[1] if len(real.parents) > 1 else real, real.name, 0)
        if elsewhere.checkpoints == real and elsewhere.root != self.root.resolve():
            for version in _begun_versions(elsewhere):
                found = RunFolders(elsewhere.root, elsewhere.dataset, version)
                if found.version_folder.resolve() != own:
                    yield found


def new_run(root: Path, dataset: str) -> RunFolders:
    """Reserve the next version folder; two runs that start at the same time get different numbers."""
    newest = newest_run(root, dataset)
    folders = RunFolders(root, dataset, newest.version + 1 if newest else 0)
    folders.version_folder.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            folders.version_folder.mkdir()
        except FileExistsError:
            folders = RunFolders(root, dataset, folders.version + 1)
        else:
            return folders


def newest_run(root: Path, dataset: str) -> RunFolders | None:
    """Return the latest run that has a version folder or a checkpoint, or None if there is no run."""
    anywhere = RunFolders(root, dataset, 0)
    versions = [*_begun_versions(anywhere), *_saved_versions(anywhere)]
    return RunFolders(root, dataset, max(versions)) if versions else None


def all_runs(root: Path) -> list[RunFolders]:
    """Return every run in the output directory with a version folder, by data set and version."""
    datasets = sorted(folder.parent.name for folder in root.glob("img_tasks/*/experiment"))
    firsts = (RunFolders(root, dataset, 0) for dataset in datasets)
    runs = (RunFolders(root, first.dataset, version) for first in firsts for version in sorted(_begun_versions(first)))
    return [run for run in runs if run.version_folder.is_dir()]


def _begun_versions(folders: RunFolders) -> list[int]:
    return _numbers(folders.version_folder.parent, r"version_(\d+)")


def _saved_versions(folders: RunFolders) -> list[int]:
    """Return the versions with a last state, which also reserves the number of a deleted version folder."""
    return _numbers(folders.checkpoints, r"version_(\d+)-last\.ckpt")


def _numbers(folder: Path, pattern: str) -> list[int]:
    matches = (re.fullmatch(pattern, path.name, re.ASCII) for path in folder.glob("version_*"))
    return [int(match[1]) for match in matches if match]
