"""The service as clients see it: a real process, real requests."""

import base64
import io
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from triptych.artefacts.loading import load

TOKEN = "correct-horse_battery.staple"


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def form_of(*files: bytes) -> tuple[bytes, str]:
    """Return a multipart form with these files, and its type."""
    parts = [
        b'--limit\r\nContent-Disposition: form-data; name="images"; filename="%d.png"\r\n\r\n' % number + file + b"\r\n"
        for number, file in enumerate(files)
    ]
    return b"".join(parts) + b"--limit--\r\n", "multipart/form-data; boundary=limit"


@pytest.fixture(scope="module")
def service(start_service, bundle, index):
    return start_service(bundle, "--index", index)


@pytest.fixture(scope="module")
def strict(start_service, bundle, tmp_path_factory):
    """A service with a token and small limits."""
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(TOKEN + "\n")
    limits = ("--max-bytes", "20000", "--max-pixels", "5000", "--max-images", "3", "--queue", "4")
    return start_service(bundle, "--token-file", file, "--host", "0.0.0.0", *limits, "--timeout", "3")


def test_embeddings_are_those_of_the_model_in_every_form_of_request(service, bundle, photos, coloured_photos):
    expected = load(coloured_photos / "best.ckpt", device="cpu").embed(photos).vectors
    files = [path.read_bytes() for path in photos]

    raw = [service.post("/embed", file).json["results"][0]["embedding"] for file in files]
    several = service.post_json("/embed", {"images": [in_base64(file) for file in files]}).json
    form = service.post("/embed", *form_of(*files)).json
    short = service.post("/embed?encoding=base64", files[0], "image/png").json["results"][0]["embedding"]

    np.testing.assert_allclose(raw, expected, atol=1e-4)
    for found in (several, form):
        assert found["model"] == load(bundle, engine="onnx").fingerprint
        np.testing.assert_allclose([one["embedding"] for one in found["results"]], expected, atol=1e-4)
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(short), "<f4"), expected[0], atol=1e-4)


def test_classes_and_pictures_are_those_of_the_model(service, bundle, photos):
    model = load(bundle, engine="onnx")
    names, probabilities = model.classify(photos[:2])
    body, kind = form_of(*(path.read_bytes() for path in photos[:2]))

    classes = service.post("/classify?top=1", body, kind).json["results"]
    pictures = service.post("/reconstruct", body, kind).json["results"]
    latents = model.encode(photos[:1])
    decoded = service.post_json("/decode", {"latents": latents.tolist()}, Accept="image/png")

    assert [one["prediction"] for one in classes] == list(names)
    assert [len(one["classes"]) for one in classes] == [1, 1]
    np.testing.assert_allclose([one["probability"] for one in classes], probabilities.max(1), atol=1e-4)
    found = [np.asarray(Image.open(io.BytesIO(base64.b64decode(one["image"])))) for one in pictures]
    np.testing.assert_allclose(np.stack(found).astype(int), model.reconstruct(photos[:2]).astype(int), atol=1)
    assert decoded.headers["content-type"] == "image/png"
    np.testing.assert_allclose(np.asarray(Image.open(io.BytesIO(decoded.body))).astype(int), found[0], atol=1)


def test_a_search_finds_the_image_itself_and_obeys_the_filter(service, photos):
    image = photos[3].read_bytes()

    matches = service.post("/search?k=3", image).json["results"][0]["matches"]
    dogs = service.post("/search?where=label%20=%20'dog'", image).json["results"][0]["matches"]
    wrong = service.post("/search?where=labl%20=%20'dog'", image)

    assert len(matches) == 3
    assert matches[0]["id"] == str(photos[3])
    assert matches[0]["score"] == pytest.approx(1, abs=1e-4)
    assert {one["metadata"]["label"] for one in dogs} == {"dog"}
    assert (wrong.status, wrong.error["code"]) == (422, "invalid_filter")
    assert "did you mean 'label'?" in wrong.error["message"]


def test_many_clients_at_once_get_their_own_answers_and_a_bad_image_fails_alone(service, bundle, photos):
    expected = load(bundle, engine="onnx").embed(photos).vectors
    bad = photos[0].read_bytes()[:60]

    def asked(number: int):
        return service.post("/embed", bad if number % 5 == 0 else photos[number % 24].read_bytes())

    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(asked, range(120)))

    for number, answer in enumerate(answers):
        if number % 5 == 0:
            assert (answer.status, answer.error["code"]) == (422, "invalid_image")
        else:
            found = answer.json["results"][0]["embedding"]
            np.testing.assert_allclose(found, expected[number % 24], atol=1e-4)


def test_a_bad_image_among_good_ones_has_an_error_in_its_place(service, photos):
    good = in_base64(photos[0].read_bytes())

    answer = service.post_json("/search", {"images": [good, "%%%", in_base64(b"no image"), good]})

    assert answer.status == 200
    results = answer.json["results"]
    assert [one.get("error", {}).get("code") for one in results] == [None, "invalid_base64", "invalid_image", None]
    assert results[0] == results[3]


def test_requests_have_ids_in_answers_and_logs(service, photos):
    given = service.post("/embed", photos[0].read_bytes(), X_Request_ID="my-request.1")
    invalid = service.post("/embed", b"no image", X_Request_ID='"quoted"')

    assert given.headers["x-request-id"] == "my-request.1"
    record = service.logged(request_id="my-request.1")
    assert {"time", "milliseconds", "client"} <= record.keys()
    assert (record["method"], record["path"], record["status"]) == ("POST", "/embed", 200)
    assert re.fullmatch("[0-9a-f]{32}", invalid.headers["x-request-id"])
    assert invalid.error["request_id"] == invalid.headers["x-request-id"]
    assert service.logged(request_id=invalid.headers["x-request-id"])["status"] == 422


def test_metrics_count_requests_and_batches(service, photos):
    service.post("/classify", photos[0].read_bytes())
    service.ask("GET", "/nothing/here")

    answer = service.ask("GET", "/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    text = answer.body.decode()
    for line in (
        r'triptych_requests_total{endpoint="/classify",status="200"} [1-9]',
        r'triptych_requests_total{endpoint="other",status="404"} [1-9]',
        r'triptych_images_total{outcome="ok"} [1-9]',
        r"triptych_batch_size_count [1-9]",
        r"triptych_queue_images 0\.0",
        r'triptych_model_info{fingerprint="[0-9a-f]{64}",version="[0-9.]+"} 1\.0',
    ):
        assert re.search(f"^{line}", text, re.MULTILINE), line


def test_the_state_can_be_queried_and_unknown_paths_are_reported(service):
    assert service.ask("GET", "/healthz").json == {"status": "ok"}
    assert service.ask("GET", "/readyz").json == {"status": "ready"}
    assert "/embed, /classify" in service.ask("GET", "/").error["message"]
    assert service.ask("GET", "/embed").status == 405


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_a_probe_by_head_gets_the_status_without_a_body(service, path):
    asked = service.ask("HEAD", path)

    assert (asked.status, asked.body) == (200, b"")
    assert asked.headers["content-type"] == service.ask("GET", path).headers["content-type"]


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "code"),
    [
        ("/embed", b"\0" * 20_001, "image/png", 413, "too_many_bytes"),
        ("/embed", *form_of(*[b"x"] * 4), 413, "too_many_images"),
        ("/embed", *form_of(*[b"x"] * 1001), 413, "too_many_bytes"),
        ("/embed", b"x", "text/plain", 415, "unsupported_media_type"),
        ("/embed", b"x", "", 415, "unsupported_media_type"),
        ("/decode", b"x", "image/png", 415, "unsupported_media_type"),
        ("/embed", b"", "image/png", 422, "invalid_image"),
        ("/embed", b"{", "application/json", 422, "invalid_body"),
        ("/embed", b'{"images": []}', "application/json", 422, "invalid_body"),
        ("/embed", b'{"images": [1]}', "application/json", 422, "invalid_body"),
        ("/embed", b"[" * 9000, "application/json", 422, "invalid_body"),
        ("/embed", b"x", "multipart/form-data", 422, "invalid_body"),
        ("/embed", b"x", "multipart/form-data; boundary=limit", 422, "invalid_body"),
        ("/embed?encoding=words", b"x", "image/png", 422, "invalid_argument"),
        ("/decode", b'{"latents": [[1, 2]]}', "application/json", 422, "invalid_latent"),
        ("/decode", b'{"latents": [[1e60, 0, 0, 0]]}', "application/json", 422, "invalid_latent"),
        ("/decode", b'{"latents": [[NaN, 0, 0, 0]]}', "application/json", 422, "invalid_body"),
        ("/decode", b'{"latents": [[1e400, 0, 0, 0]]}', "application/json", 422, "invalid_body"),
        ("/decode", b'{"latents": [["1", "2", "3", "4"]]}', "application/json", 422, "invalid_body"),
        ("/decode", b'{"latents": [[true, 0, 0, 0]]}', "application/json", 422, "invalid_body"),
        ("/decode", b'{"latents": [[]]}', "application/json", 422, "invalid_latent"),
        ("/decode", b'{"latents": []}', "application/json", 422, "invalid_body"),
    ],
)
def test_what_is_beyond_a_limit_or_cannot_be_read_has_its_own_status(strict, path, body, kind, status, code):
    answer = strict.post(path, body, kind, Authorization=f"Bearer {TOKEN}")

    assert answer.status == status, answer.body
    assert code in (None, answer.error["code"])


def test_too_many_pixels_are_rejected_before_they_are_decoded(strict):
    stream = io.BytesIO()
    Image.new("L", (100, 60)).save(stream, "PNG")

    answer = strict.post("/embed", stream.getvalue(), Authorization=f"Bearer {TOKEN}")

    assert (answer.status, answer.error["code"]) == (413, "too_many_pixels")


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(strict):
    def endless():
        for _ in range(50):
            yield b"\0" * 1000

    answer = strict.post("/embed", endless(), Authorization=f"Bearer {TOKEN}")

    assert (answer.status, answer.error["code"]) == (413, "too_many_bytes")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": f"Bearer {TOKEN}x"}],
)
def test_without_the_token_only_probes_are_answered(strict, headers):
    answer = strict.post("/embed", b"x", **headers)

    assert (answer.status, answer.error["code"]) == (401, "unauthorised")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert strict.ask("GET", "/metrics", **headers).status == 401
    assert strict.ask("GET", "/readyz", **headers).status == 200


def test_a_body_that_does_not_arrive_ends_in_time(strict):
    with socket.create_connection(("127.0.0.1", int(strict.address.rpartition(":")[2])), timeout=30) as client:
        head = f"POST /embed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n"
        client.sendall(head.encode() + b"Content-Type: image/png\r\n\r\nabc")

        assert client.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_a_service_that_is_stopped_finishes_its_requests(start_service, bundle, photos):
    service = start_service(bundle)
    image = photos[0].read_bytes()
    host, _, port = service.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as client:
        head = f"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(image)}\r\n"
        client.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")  # the body is waited for

        service.process.send_signal(signal.SIGTERM)
        service.logged(message="stopping", signal="SIGTERM")
        client.sendall(image)

        assert client.recv(10_000).startswith(b"HTTP/1.1 200 ")
    assert service.process.wait(60) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
