"""The description of a pretrained network: plain values, there and back."""

import json

import pytest

from triptych.models.pretrained.backbone import BackboneDescription, BackboneError

DESCRIPTION = BackboneDescription(
    "hf:someone/model", {"model_type": "vit", "sizes": [1, 2]}, (24, 32), 3, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
)


def test_it_goes_through_json_and_back() -> None:
    assert BackboneDescription.from_plain(json.loads(json.dumps(DESCRIPTION.plain()))) == DESCRIPTION


def test_the_library_is_what_stands_before_the_colon() -> None:
    assert DESCRIPTION.library == "hf"


@pytest.mark.parametrize(
    "change", [{"image_size": 8}, {"image_size": ["a", "b"]}, {"config": 3}, {"channels": None}, {"image_mean": "x"}]
)
def test_what_is_no_description_is_rejected(change: dict) -> None:
    with pytest.raises(BackboneError, match="got one that cannot be read"):
        BackboneDescription.from_plain({**DESCRIPTION.plain(), **change})
    with pytest.raises(BackboneError, match="KeyError"):
        BackboneDescription.from_plain({})
