"""The results of an evaluation in TensorBoard: figures, images, and the embeddings in its projector."""

import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from triptych.data.module import ImageDataModule
from triptych.evaluation.measuring.measured import Evaluation
from triptych.evaluation.report.pictures import Picture
from triptych.evaluation.table import FigureRow, baseline_rows, figure_rows
from triptych.files import replacing
from triptych.inspection.thumbnails import thumbnails
from triptych.visualisation.paper.tiles import as_rgb

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LARGEST_SHEET = 8192
"""Most pixels to a side of the projector's sheet of thumbnails that browsers take."""
THUMBNAIL = 32
"""Pixels to a side of a thumbnail, about, where the sheet has room."""
MOST_POINTS = 10_000
"""That the projector moves without stuttering."""
CONFIG = "projector_config.pbtxt"


def write_tensorboard(
    folder: Path, data: ImageDataModule, evaluation: Evaluation, pictures: Mapping[str, Sequence[Picture] | str]
) -> None:
    """Add an evaluation to a folder that TensorBoard reads, in place of a former one of the same split.

    Everything is named after the split: scalars and a table of all figures, the report's pictures as images, and in
    the projector the images of the map with their thumbnails. Each file takes its name when it is complete, the event
    file last.
    """
    suffix = f".evaluation-{evaluation.split_name}"
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        _write_events(temporary, data, evaluation, pictures, suffix=suffix)
        _keep_other_embeddings(temporary / CONFIG, folder / CONFIG)
        written = sorted(path for path in temporary.rglob("*") if path.is_file())
        (events,) = (path for path in written if path.name.endswith(suffix))
        former = [path for path in folder.glob(f"events.out.tfevents.*{suffix}") if path.name != events.name]
        for path in [*(path for path in written if path != events), events]:
            with replacing(folder / path.relative_to(temporary)) as target:
                shutil.copyfile(path, target)
    for path in former:
        path.unlink(missing_ok=True)


def _write_events(
    folder: Path,
    data: ImageDataModule,
    evaluation: Evaluation,
    pictures: Mapping[str, Sequence[Picture] | str],
    *,
    suffix: str,
) -> None:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from torch.utils.tensorboard import SummaryWriter

    split = evaluation.split_name
    with SummaryWriter(str(folder), filename_suffix=suffix) as writer:
        for group, figures in ((split, evaluation.figures), (f"{split}/holdout", evaluation.holdout)):
            for name, value in figures.items():
                if isinstance(value, int | float):
                    writer.add_scalar(f"evaluation/{group}/{name}", value, 0)
        rows = [*figure_rows(evaluation.figures), *baseline_rows(evaluation.baselines.figures)]
        writer.add_text(f"evaluation/{split}", _markdown(rows), 0)
        for picture in (
            picture for section in pictures.values() if not isinstance(section, str) for picture in section
        ):
            width, height = picture.size
            # The file as it is: `add_image` would unpack it, and pack it again.
            image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=picture.png)
            tag = f"evaluation/{split}/{picture.name}"
            writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), 0)
        _write_embeddings(writer, data, evaluation)


def _write_embeddings(writer: "SummaryWriter", data: ImageDataModule, evaluation: Evaluation) -> None:
    chosen = evaluation.map.indices[:: -(-len(evaluation.map.indices) // MOST_POINTS)]
    confidence, predicted = evaluation.outputs.probabilities[chosen].max(1)
    # A tab or a line break in a name would begin another column or row.
    names = [" ".join(name.split()) for name in data.classes]
    columns = (
        [names[label] for label in evaluation.outputs.labels[chosen].tolist()],
        [names[label] for label in predicted.tolist()],
        [f"{value:.3f}" for value in confidence.tolist()],
        [" ".join(evaluation.name(row).split()) for row in chosen.tolist()],
    )
    longest = min(THUMBNAIL, LARGEST_SHEET // math.ceil(math.sqrt(len(chosen))))
    writer.add_embedding(
        evaluation.outputs.embeddings[chosen],
        metadata=[list(row) for row in zip(*columns, strict=True)],
        metadata_header=["class", "predicted", "confidence", "image"],
        label_img=_square(evaluation.split.images[chosen].cpu(), side=longest),
        global_step=0,
        tag=evaluation.split_name,
    )


def _square(images: Tensor, *, side: int) -> Tensor:
    """Turn uint8 images (N, C, H, W) into RGB floats in [0, 1] of about, and at most, `side` pixels to a side.

    They are shrunk, or enlarged by a whole factor; black is added to make them square, as the sheet needs them.
    """
    small = thumbnails(images, longest=side)
    height, width = small.shape[2:]
    longest = max(height, width)
    padded = as_rgb(F.pad(small, (0, longest - width, 0, longest - height)))
    factor = side // longest
    return padded.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3).float() / 255


def _keep_other_embeddings(new: Path, old: Path) -> None:
    """Take over what a projector's config lists beside the embeddings that are written now."""
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    if not old.exists():
        return
    config, former = ProjectorConfig(), ProjectorConfig()
    text_format.Parse(new.read_text(), config)
    try:
        text_format.Parse(old.read_text(), former)
    except (text_format.ParseError, UnicodeDecodeError):
        return
    written = {embedding.tensor_path for embedding in config.embeddings}
    config.embeddings.extend(embedding for embedding in former.embeddings if embedding.tensor_path not in written)
    new.write_text(text_format.MessageToString(config))


def _markdown(rows: Sequence[FigureRow]) -> str:
    lines = [f"| {row.title} | {row.value} | {row.interval} | {row.meaning} |" for row in rows]
    return "\n".join(["| figure | value | 95% interval | meaning |", "| :--- | ---: | ---: | :--- |", *lines])
