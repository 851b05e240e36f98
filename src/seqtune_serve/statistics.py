"""What the server measures, for Prometheus."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Statistics:
    """The measurements of one server."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Histogram(
            "seqtune_request_seconds",
            "Time to answer, waiting included",
            ("path", "status"),
            buckets=SECONDS,
            registry=own,
        )
        self.batch_sizes = Histogram(
            "seqtune_batch_size", "Requests of a batch", buckets=BATCH_SIZES, registry=own
        )
        self.waiting = Gauge("seqtune_waiting_requests", "Requests that wait", registry=own)
        self.unknown_items = Counter(
            "seqtune_unknown_items", "Ids in requests that the model lacks", registry=own
        )
        self.refused_versions = Counter(
            "seqtune_refused_versions", "New versions that could not be served", registry=own
        )
        self._served = Gauge(
            "seqtune_served_version", "1 for the version that answers", ("version",), registry=own
        )

    def serve(self, version: str) -> None:
        """Record the version that answers from now on."""
        self._served.clear()
        self._served.labels(version).set(1)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
