"""What a server counts and times, for Prometheus."""

import prometheus_client as prometheus

from fdcn.serve.generator import Generator, Result

CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
PICTURES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """A registry of its own: two servers in one process do not mix."""

    def __init__(self) -> None:
        self._registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> prometheus.Counter:
            return prometheus.Counter(f"fdcn_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> prometheus.Histogram:
            return prometheus.Histogram(f"fdcn_{name}", text, labels, registry=registry, buckets=buckets)

        self._requests = counter("requests", "Requests that were answered.", "method", "route", "status")
        self._request_seconds = histogram(
            "request_seconds", "From a request's head to its last byte.", SECONDS, "route"
        )
        self._refusals = counter("refusals", "Requests that got no pictures.", "reason")
        self._reloads = counter("reloads", "Bundles that were taken over, or not.", "outcome")
        self._pictures = counter("pictures", "Pictures that were made.")
        self._batch = histogram("batch_pictures", "Pictures that a request was sampled with.", PICTURES)
        self._queued = histogram("queued_seconds", "From arrival to the first evaluation.", SECONDS)
        self._sampling = histogram("sampling_seconds", "From the first evaluation to the last pixel.", SECONDS)
        self._encoding = histogram("encoding_seconds", "To make files of a request's pictures.", SECONDS)
        self._waiting = prometheus.Gauge("fdcn_waiting_pictures", "Accepted and not done.", registry=registry)
        self._ready = prometheus.Gauge("fdcn_ready", "1 where requests are taken.", registry=registry)

    def watch(self, generator: Generator) -> None:
        """Ask a generator how it is whenever the metrics are read."""
        self._waiting.set_function(lambda: generator.waiting)
        self._ready.set_function(lambda: generator.ready)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is its path as the application declares it, not as it was asked."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def refused(self, reason: str) -> None:
        """A request got no pictures: a word or two that say why."""
        self._refusals.labels(reason).inc()

    def reloaded(self, taken: bool) -> None:
        """A new bundle was taken over, or could not be."""
        self._reloads.labels("taken" if taken else "failed").inc()

    def made(self, result: Result) -> None:
        """A request got its pictures."""
        self._pictures.inc(len(result.pictures))
        self._batch.observe(result.batch)
        self._queued.observe(result.queued)
        self._sampling.observe(result.sampling)

    def encoded(self, seconds: float) -> None:
        """A request's pictures became files."""
        self._encoding.observe(seconds)

    def render(self) -> bytes:
        """All of it as Prometheus reads it."""
        return prometheus.generate_latest(self._registry)
