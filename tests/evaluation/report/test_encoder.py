import json
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image

from triptych.evaluation.measuring.measured import EmbeddingMap
from triptych.evaluation.report import encoder
from triptych.evaluation.report.encoder import map_data


def test_points_keep_their_proportions_and_stand_upright(reported: Any) -> None:
    data = map_data(reported.evaluation, reported.data.classes)
    points = reported.evaluation.map.points.astype(float)
    places = np.array([data["x"], data["y"]]).T

    scale = np.ptp(points, axis=0).max() / 10_000
    assert places.min() == 0
    assert places.max() == 10_000
    assert np.abs(np.diff(places[:, 0]) * scale - np.diff(points[:, 0])).max() < 2 * scale
    assert np.abs(np.diff(places[:, 1]) * scale + np.diff(points[:, 1])).max() < 2 * scale


def test_each_point_has_class_prediction_and_confidence(reported: Any) -> None:
    data, outputs = map_data(reported.evaluation, reported.data.classes), reported.evaluation.outputs

    for point in range(0, len(data["x"]), 7):
        image = data["image"][point]
        probabilities = torch.softmax(outputs.logits[image], 0)
        assert data["label"][point] == outputs.labels[image]
        assert data["predicted"][point] == probabilities.argmax()
        assert abs(data["confidence"][point] - 10_000 * probabilities.max()) <= 0.51


def test_neighbours_are_the_nearest_embeddings_on_the_map(reported: Any) -> None:
    data, outputs = map_data(reported.evaluation, reported.data.classes), reported.evaluation.outputs
    embeddings = outputs.embeddings[data["image"]].double()

    for point in range(0, len(embeddings), 9):
        nearness = embeddings @ embeddings[point]
        nearness[point] = -2
        found = data["neighbours"][point]
        assert len(found) == len(set(found)) == 8
        assert torch.allclose(nearness[found], nearness.sort(descending=True).values[:8], atol=1e-6)


def test_the_sheet_shows_each_image_at_its_points_place(reported: Any) -> None:
    data = map_data(reported.evaluation, reported.data.classes)
    kind, content = data["sprite"]["picture"].split(",")
    sheet = np.asarray(Image.open(BytesIO(b64decode(content))))

    assert kind == "data:image/png;base64"
    for point, image in enumerate(data["image"]):
        row, column = divmod(point, data["sprite"]["columns"])
        thumbnail = sheet[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        assert np.array_equal(thumbnail, reported.evaluation.split.images[image, 0].numpy())


def test_a_map_that_is_too_large_for_a_page_is_thinned(reported: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(encoder, "MOST_POINTS", 30)

    data = map_data(reported.evaluation, reported.data.classes)

    assert 15 < len(data["x"]) <= 30
    assert max(max(found) for found in data["neighbours"]) < len(data["x"])


def test_two_images_and_a_single_place_are_a_map_too(reported: Any) -> None:
    small = replace(reported.evaluation, map=EmbeddingMap(np.zeros((2, 2), dtype=np.float32), torch.tensor([3, 5])))

    data = map_data(small, reported.data.classes)

    assert data["neighbours"] == [[1], [0]]
    assert data["x"] == data["y"] == [0, 0]
    assert sum(medoid is not None for medoid in data["medoids"]) == len(set(data["label"]))
    json.dumps(data, allow_nan=False)


def test_a_single_image_has_no_neighbours(reported: Any) -> None:
    single = replace(reported.evaluation, map=EmbeddingMap(np.zeros((1, 2), dtype=np.float32), torch.tensor([3])))

    assert map_data(single, reported.data.classes)["neighbours"] == [[]]
