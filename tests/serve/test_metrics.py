"""What a server counts, as Prometheus reads it."""

from prometheus_client.parser import text_string_to_metric_families

from fdcn.serve.generator import Result
from fdcn.serve.metrics import Metrics


class Standing:
    """A generator to look at."""

    ready, waiting = True, 3


def read(metrics: Metrics) -> dict[tuple, float]:
    """Values by name and labels."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def test_requests_refusals_and_pictures_are_counted():
    metrics, other = Metrics(), Metrics()
    metrics.request("POST", "/v1/generate", 200, 0.02)
    metrics.request("POST", "/v1/generate", 429, 0.001)
    metrics.refused("queue_full")
    metrics.reloaded(True)
    metrics.reloaded(False)
    metrics.encoded(0.003)
    metrics.made(Result([b"", b""], {}, [], None, queued=0.004, sampling=0.2, batch=5))
    values = read(metrics)
    assert values["fdcn_requests_total", "/v1/generate", "200", "POST"] == 1
    assert values["fdcn_requests_total", "/v1/generate", "429", "POST"] == 1
    assert values["fdcn_request_seconds_sum", "/v1/generate"] == 0.021
    assert values["fdcn_refusals_total", "queue_full"] == 1
    assert values["fdcn_reloads_total", "taken"] == values["fdcn_reloads_total", "failed"] == 1
    assert values["fdcn_pictures_total",] == 2
    assert values["fdcn_batch_pictures_sum",] == 5
    for name, seconds in (("queued", 0.004), ("sampling", 0.2), ("encoding", 0.003)):
        assert values[f"fdcn_{name}_seconds_sum",] == seconds
        assert values[f"fdcn_{name}_seconds_count",] == 1
    assert read(other)["fdcn_pictures_total",] == 0


def test_a_generator_is_asked_when_the_metrics_are_read():
    metrics, generator = Metrics(), Standing()
    metrics.watch(generator)
    assert (read(metrics)["fdcn_ready",], read(metrics)["fdcn_waiting_pictures",]) == (1, 3)
    generator.ready, generator.waiting = False, 0
    assert (read(metrics)["fdcn_ready",], read(metrics)["fdcn_waiting_pictures",]) == (0, 0)


def test_the_process_is_measured():
    assert read(Metrics())["process_resident_memory_bytes",] > 1e6
