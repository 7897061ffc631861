"""Metrics of the service, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from triptych.serving.requests.gate import Gate
from triptych.version import __version__

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """The counters of one service, in a registry of their own.

    Args:
        gate: What is in the queue.
        fingerprint: That of the model.
    """

    def __init__(self, gate: Gate, *, fingerprint: str) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "triptych_requests", "Requests answered.", ["endpoint", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "triptych_request_seconds", "Time of a request.", ["endpoint"], buckets=SECONDS, registry=self._registry
        )
        self.images = Counter("triptych_images", "Images, by outcome.", ["outcome"], registry=self._registry)
        self.batch_sizes = Histogram(
            "triptych_batch_size", "Images that were computed at once.", buckets=SIZES, registry=self._registry
        )
        queue = Gauge("triptych_queue_images", "Images that wait or are computed.", registry=self._registry)
        queue.set_function(lambda: gate.images)
        requests = Gauge("triptych_requests_in_progress", "Requests that are answered now.", registry=self._registry)
        requests.set_function(lambda: gate.requests)
        model = Gauge("triptych_model_info", "The model.", ["fingerprint", "version"], registry=self._registry)
        model.labels(fingerprint, __version__).set(1)

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)
