"""The endpoints: a request becomes a call of the service, and its results an answer."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import numpy as np
from fastapi import Query, Request
from starlette.responses import Response

from triptych.artefacts.engines.engine import Encoded
from triptych.artefacts.model import softmax
from triptych.search import Match
from triptych.serving.api.answers import failure, json_answer, results_answer
from triptych.serving.api.arguments import ClassifyArguments, EmbedArguments, SearchArguments
from triptych.serving.api.problems import RETRY_AFTER, Problem
from triptych.serving.metrics import CONTENT_TYPE
from triptych.serving.requests.bodies import read_images, read_latents
from triptych.serving.requests.gate import Visit
from triptych.serving.service import Service


class Routes:
    """The endpoints of a service.

    Args:
        service: What computes.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def embed(self, request: Request, arguments: Annotated[EmbedArguments, Query()]) -> Response:
        """Map images to embeddings of L2 norm 1."""

        def described(encoded: Encoded) -> dict[str, object]:
            vector = encoded.embeddings
            return {"embedding": vector if as_numbers else _base64(vector.astype("<f4").tobytes())}

        as_numbers = arguments.encoding == "float"

        async with self._visit() as visit:
            found = await self._service.encode(await self._images(request, visit))
            return results_answer(found, described, fingerprint=self._service.model.fingerprint)

    async def classify(self, request: Request, arguments: Annotated[ClassifyArguments, Query()]) -> Response:
        """Map images to their most probable classes."""
        names = self._service.model.classes

        def described(encoded: Encoded) -> dict[str, object]:
            probabilities = softmax(encoded.logits[None])[0]
            best = [int(label) for label in np.argsort(-probabilities, kind="stable")[: arguments.top]]
            classes = [{"name": names[label], "probability": float(probabilities[label])} for label in best]
            return {"prediction": names[best[0]], "probability": float(probabilities[best[0]]), "classes": classes}

        async with self._visit() as visit:
            found = await self._service.encode(await self._images(request, visit))
            return results_answer(found, described, fingerprint=self._service.model.fingerprint)

    async def reconstruct(self, request: Request) -> Response:
        """Map images to their reconstructions, PNG files in base64; with `Accept: image/png`, one PNG file."""
        async with self._visit() as visit:
            found = await self._service.reconstruct(await self._images(request, visit))
            return self._pictures(request, found)

    async def decode(self, request: Request) -> Response:
        """Map points of the latent space to images, as `/reconstruct` answers them."""
        async with self._visit() as visit:
            latents = await read_latents(request, visit, self._service.limits)
            visit.hold_images(len(latents))
            return self._pictures(request, await self._service.decode(latents))

    async def search(self, request: Request, arguments: Annotated[SearchArguments, Query()]) -> Response:
        """Find the nearest images of the index for each image."""

        def described(matches: list[Match]) -> dict[str, object]:
            return {
                "matches": [
                    {"id": one.id, "score": one.score, "matches": one.matches, "metadata": one.metadata}
                    for one in matches
                ]
            }

        async with self._visit() as visit:
            images = await self._images(request, visit)
            found = await self._service.search(images, arguments.k, where=arguments.where, exact=arguments.exact)
            return results_answer(found, described, fingerprint=self._service.model.fingerprint)

    async def healthz(self, request: Request) -> Response:
        """Report that the process runs."""
        del request
        return json_answer({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Report whether requests are accepted: 503 while the service stops."""
        del request
        if self._service.gate.draining:
            return failure(Problem(503, "stopping", "The service is stopping.", RETRY_AFTER))
        return json_answer({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """Report metrics in Prometheus' text format."""
        del request
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)

    async def _images(self, request: Request, visit: Visit) -> list[bytes | Problem]:
        images = await read_images(request, visit, self._service.limits)
        visit.hold_images(len(images))
        return images

    @asynccontextmanager
    async def _visit(self) -> AsyncIterator[Visit]:
        """Let a request in, for a limited time."""
        seconds = self._service.limits.seconds
        with self._service.gate.visit() as visit:
            try:
                async with asyncio.timeout(seconds):
                    yield visit
            except TimeoutError:
                if visit.is_reading:
                    raise Problem(408, "slow_body", f"The body did not arrive within {seconds:g} seconds.") from None
                message = f"The result was not ready within {seconds:g} seconds. Send the request again later."
                raise Problem(503, "timeout", message, RETRY_AFTER) from None

    def _pictures(self, request: Request, found: Sequence[bytes | Problem]) -> Response:
        if "image/png" not in request.headers.get("accept", ""):
            fingerprint = self._service.model.fingerprint
            return results_answer(found, lambda png: {"image": _base64(png)}, fingerprint=fingerprint)
        if len(found) > 1:
            raise Problem(406, "not_acceptable", f"Expected one image with Accept: image/png, got {len(found)}.")
        (one,) = found
        return failure(one) if isinstance(one, Problem) else Response(one, media_type="image/png")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
