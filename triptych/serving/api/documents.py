"""The forms of answers, for the OpenAPI document."""

from pydantic import BaseModel


class Detail(BaseModel):
    """What went wrong."""

    code: str
    message: str
    request_id: str | None = None


class Failure(BaseModel):
    """The answer where there is no result."""

    error: Detail

    model_config = {
        "json_schema_extra": {
            "example": {
                "error": {
                    "code": "invalid_image",
                    "message": "The image is damaged or cut off (image file is truncated)",
                    "request_id": "6f1c2f9a3f7e4b0f9d3c8e5a1b2c3d4e",
                }
            }
        }
    }


class Embedding(BaseModel):
    """The embedding of an image, of L2 norm 1; in base64 it is little-endian float32."""

    embedding: list[float] | str | None = None
    error: Detail | None = None


class EmbedAnswer(BaseModel):
    """One result for each image, in order."""

    model: str
    results: list[Embedding]

    model_config = {"json_schema_extra": {"example": {"model": "0f3a…", "results": [{"embedding": [0.6, -0.8]}]}}}


class ClassProbability(BaseModel):
    """A class, and how probable it is."""

    name: str
    probability: float


class Prediction(BaseModel):
    """The most probable class of an image, and the next ones."""

    prediction: str | None = None
    probability: float | None = None
    classes: list[ClassProbability] | None = None
    error: Detail | None = None


class ClassifyAnswer(BaseModel):
    """One result for each image, in order."""

    model: str
    results: list[Prediction]

    model_config = {
        "json_schema_extra": {
            "example": {
                "model": "0f3a…",
                "results": [
                    {
                        "prediction": "cat",
                        "probability": 0.9,
                        "classes": [{"name": "cat", "probability": 0.9}, {"name": "dog", "probability": 0.1}],
                    }
                ],
            }
        }
    }


class Picture(BaseModel):
    """An image, a PNG file in base64."""

    image: str | None = None
    error: Detail | None = None


class PictureAnswer(BaseModel):
    """One result for each image or latent, in order."""

    model: str
    results: list[Picture]

    model_config = {"json_schema_extra": {"example": {"model": "0f3a…", "results": [{"image": "iVBORw0KGgo…"}]}}}


class Found(BaseModel):
    """An image of the index.

    `score` is the cosine similarity; `matches` is whether it reaches the calibrated threshold, and is null without
    one.
    """

    id: str
    score: float
    matches: bool | None
    metadata: dict[str, str | int | float | bool | None]


class Matches(BaseModel):
    """The nearest images of the index, nearest first."""

    matches: list[Found] | None = None
    error: Detail | None = None


class SearchAnswer(BaseModel):
    """One result for each image, in order."""

    model: str
    results: list[Matches]

    model_config = {
        "json_schema_extra": {
            "example": {
                "model": "0f3a…",
                "results": [
                    {"matches": [{"id": "/photos/1.jpg", "score": 0.97, "matches": None, "metadata": {"label": "cat"}}]}
                ],
            }
        }
    }


class State(BaseModel):
    """Whether the service runs, or is ready."""

    status: str
