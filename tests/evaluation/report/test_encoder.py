from dataclasses import replace
from typing import Any

import numpy as np
import torch

from triptych.evaluation.measuring.measured import EmbeddingMap
from triptych.evaluation.report.encoder import map_pictures


def test_the_map_names_how_many_images_it_shows(reported: Any) -> None:
    (whole,) = map_pictures(reported.evaluation, reported.data.classes)
    few = replace(reported.evaluation, map=EmbeddingMap(np.eye(3, 2, dtype=np.float32), torch.tensor([3, 5, 8])))
    (part,) = map_pictures(few, reported.data.classes)

    assert whole.caption.startswith(f"{len(reported.evaluation.map.indices)} of the 360 images of the split")
    assert part.caption.startswith("3 of the 360 images of the split")
    assert part.alt.startswith("Map of 3 embeddings")


def test_a_single_image_and_a_single_place_are_a_map_too(reported: Any) -> None:
    for rows in ([3], [3, 5]):
        places = EmbeddingMap(np.zeros((len(rows), 2), dtype=np.float32), torch.tensor(rows))
        (small,) = map_pictures(replace(reported.evaluation, map=places), reported.data.classes)
        assert min(small.size) > 300
