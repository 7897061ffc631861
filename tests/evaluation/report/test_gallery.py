from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def test_every_section_has_its_pictures_under_names_of_their_own(reported: Any) -> None:
    names = {section: [picture.name for picture in pictures] for section, pictures in reported.pictures.items()}

    assert names == {
        "compare": ["retrieval", "retrieval_worst", "hardest_triplets"],
        "name": ["confusion", "calibration"],
        "attention": ["attention"],
        "repaint": ["reconstructions", "interpolations", "traversal", "samples", "latent"],
    }


def test_pictures_are_whole_not_blank_and_say_how_large_they_are(reported: Any) -> None:
    for picture in (picture for section in reported.pictures.values() for picture in section):
        with Image.open(BytesIO(picture.png)) as image:
            assert image.size == picture.size
            assert np.asarray(image.convert("L")).std() > 10
        assert picture.title
        assert picture.caption.endswith(".")
        assert len(picture.alt) > 10
