"""The application in this process, with a model that computes when it is allowed to: full queues, times, failures."""

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

import triptych
from triptych.errors import SearchError
from triptych.search import create_index
from triptych.serving import Limits, create_app
from triptych.serving.service import SMALL


def png(brightness: int, *, size: int = 16, level: int = 6) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (size, size), (brightness,) * 3).save(stream, "PNG", compress_level=level)
    return stream.getvalue()


async def ask(app: Any, path: str, body: bytes) -> tuple[int, dict[str, str], Any]:
    """Send a request through the interface of ASGI."""
    sent: list[dict[str, Any]] = []
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http"},
        **{"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": ""},
        **{"headers": [(b"content-type", b"image/png")], "client": ("test", 1), "server": ("test", 80)},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, json.loads(b"".join(one.get("body", b"") for one in sent[1:]))


def run(app: Any, asking: Callable[[], Any]) -> Any:
    async def main() -> Any:
        try:
            return await asking()
        finally:
            app.state.service.close()

    return asyncio.run(main())


def test_a_full_queue_is_answered_at_once_and_what_waits_is_one_batch(waiting_model):
    engine = waiting_model._engine
    app = create_app(waiting_model, limits=Limits(queue=5))
    engine.allowed.clear()

    async def asking():
        waiting = [asyncio.create_task(ask(app, "/embed", png(100 + number))) for number in range(5)]
        while app.state.service.gate.images < 5:
            await asyncio.sleep(0.01)
        turned_away = await ask(app, "/embed", png(1))
        engine.allowed.set()
        return turned_away, await asyncio.gather(*waiting), await ask(app, "/embed", png(1))

    (status, headers, content), waited, later = run(app, asking)

    assert (status, headers["retry-after"], content["error"]["code"]) == (429, "1", "overloaded")
    assert [one[0] for one in (*waited, later)] == [200] * 6
    assert sum(engine.sizes) == 6
    assert app.state.service.gate.images == app.state.service.gate.bytes == 0


def test_memory_for_bodies_is_limited_over_all_requests(waiting_model):
    app = create_app(waiting_model, limits=Limits(held_bytes=50))

    status, headers, content = run(app, lambda: ask(app, "/embed", png(1)))

    assert (status, headers["retry-after"], content["error"]["code"]) == (429, "1", "overloaded")


def test_a_result_that_is_not_ready_in_time_is_given_up(waiting_model):
    app = create_app(waiting_model, limits=Limits(seconds=0.2))
    waiting_model._engine.allowed.clear()

    async def asking():
        answer = await ask(app, "/embed", png(1))
        waiting_model._engine.allowed.set()
        return answer

    status, headers, content = run(app, asking)

    assert (status, headers["retry-after"], content["error"]["code"]) == (503, "1", "timeout")
    assert app.state.service.gate.images == 0


def test_an_image_that_the_model_cannot_compute_fails_alone(waiting_model):
    app = create_app(waiting_model)

    async def asking():
        return await asyncio.gather(*(ask(app, "/embed", png(brightness)) for brightness in (50, 0, 200)))

    first, black, last = run(app, asking)

    assert (first[0], last[0]) == (200, 200)
    assert (black[0], black[2]["error"]["code"]) == (500, "internal")
    assert "a black image" not in black[2]["error"]["message"]


def test_an_image_that_cannot_be_decoded_fails_alone_in_its_batch(waiting_model):
    engine = waiting_model._engine
    app = create_app(waiting_model)
    large = png(90, size=200, level=0)
    assert len(large) > SMALL
    bodies = [png(90), b"no image", large, large[:-100_000], png(90)[:50], png(91)]
    engine.allowed.clear()

    async def asking():
        waiting = [asyncio.create_task(ask(app, "/embed", body)) for body in bodies * 2]
        while app.state.service.gate.images < 12:
            await asyncio.sleep(0.01)
        engine.allowed.set()
        return await asyncio.gather(*waiting)

    answers = run(app, asking)

    assert [status for status, *_ in answers] == [200, 422, 200, 422, 422, 200] * 2
    small, other, again = (answers[number][2]["results"][0]["embedding"] for number in (0, 2, 6))
    np.testing.assert_allclose(small, other, atol=1e-5)
    np.testing.assert_allclose(small, again, atol=1e-5)
    assert sum(engine.sizes) == 6


def test_embeddings_have_the_digits_of_float32(waiting_model):
    app = create_app(waiting_model)

    status, _, content = run(app, lambda: ask(app, "/embed", png(90)))

    (result,) = content["results"]
    expected = waiting_model.embed(np.full((16, 16, 3), 90, np.uint8)).vectors[0]
    assert status == 200
    np.testing.assert_array_equal(np.array(result["embedding"], np.float32), expected)
    assert all(len(str(value)) <= 13 for value in result["embedding"])


def test_layers_that_are_added_to_the_application_see_every_request(waiting_model):
    app = create_app(waiting_model)
    seen = []

    class Layer:
        def __init__(self, app: Any) -> None:
            self._app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["path"])
            await self._app(scope, receive, send)

    app.add_middleware(Layer)

    run(app, lambda: ask(app, "/embed", png(90)))

    assert seen == ["/embed"]


def test_a_stopping_service_lets_nothing_in(waiting_model):
    app = create_app(waiting_model)
    app.state.service.gate.draining = True

    status, headers, content = run(app, lambda: ask(app, "/embed", png(1)))

    assert (status, headers["retry-after"], content["error"]["code"]) == (503, "1", "stopping")


def test_an_index_of_another_model_is_rejected(waiting_model, tmp_path):
    with (
        create_index(tmp_path / "other.index", dimension=6, fingerprint="0f3a") as index,
        pytest.raises(SearchError, match=rf"the index, 0f3a, got the model {waiting_model.fingerprint}"),
    ):
        create_app(waiting_model, index=index)


def test_an_index_out_of_reach_is_no_fault_of_the_client(waiting_model, tmp_path):
    index = create_index(tmp_path / "one.index", dimension=6, fingerprint=waiting_model.fingerprint)
    index.add(["a"], np.ones((1, 6)), fingerprint=waiting_model.fingerprint)
    app = create_app(waiting_model, index=index)
    (tmp_path / "one.index" / "manifest.json").write_text("damaged")

    status, headers, content = run(app, lambda: ask(app, "/search", png(9)))

    assert (status, headers["retry-after"], content["error"]["code"]) == (503, "1", "index_unavailable")


def test_a_model_without_a_decoder_serves_no_pictures(make_checkpoint, tmp_path):
    import torch

    torch.save(make_checkpoint(multitask=False), tmp_path / "model.ckpt")

    app = create_app(triptych.load(tmp_path / "model.ckpt", device="cpu"))

    assert sorted(app.openapi()["paths"]) == ["/classify", "/embed", "/healthz", "/metrics", "/readyz"]
    app.state.service.close()
