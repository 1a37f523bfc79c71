"""Other programs read the same values; without their library it is said what to install."""

from __future__ import annotations

import sys

import pytest

from agentreg.extensions.monitoring import MetricsStore, MissingLibraryError, Tracking, open_export
from tests.extensions.monitoring.hands import Hands


@pytest.fixture
def store() -> MetricsStore:
    """A store with values of two agents."""
    store = MetricsStore(clock=Hands())
    store.record_many("memory_usage", {"ann": 0.5, 'b"b\n': 0.25})
    store.record("disk.free", "ann", 7.0)
    return store


@pytest.fixture
def tracking() -> Tracking:
    """Three tasks of one agent, one of which failed."""
    tracking = Tracking()
    for ok in (True, True, False):
        tracking.record("ann", 2.0, ok)
    return tracking


def test_prometheus_reads_the_latest_values(store: MetricsStore, tracking: Tracking) -> None:
    prometheus = pytest.importorskip("agentreg.extensions.monitoring.exporting.prometheus")

    lines = prometheus.prometheus_text(store, tracking).decode().splitlines()

    assert "# TYPE agentreg_memory_usage_ratio gauge" in lines
    assert 'agentreg_memory_usage_ratio{agent="ann"} 0.5' in lines
    assert 'agentreg_memory_usage_ratio{agent="b\\"b\\n"} 0.25' in lines
    assert 'agentreg_disk_free{agent="ann"} 7.0' in lines
    assert 'agentreg_tasks_total{agent="ann",outcome="ok"} 2.0' in lines
    assert 'agentreg_tasks_total{agent="ann",outcome="failed"} 1.0' in lines
    assert 'agentreg_task_seconds_count{agent="ann"} 3.0' in lines
    assert 'agentreg_task_seconds_sum{agent="ann"} 6.0' in lines


def test_prometheus_is_not_told_of_who_was_not_sampled_lately() -> None:
    prometheus = pytest.importorskip("agentreg.extensions.monitoring.exporting.prometheus")
    hands = Hands()
    store = MetricsStore(clock=hands)
    store.record("memory_usage", "ann", 0.5)
    hands.tick(61)

    assert b"ann" not in prometheus.prometheus_text(store)


def test_what_was_dropped_is_exported() -> None:
    prometheus = pytest.importorskip("agentreg.extensions.monitoring.exporting.prometheus")
    store = MetricsStore()
    store.record("memory_usage", "ann", float("nan"))

    assert b'agentreg_metrics_dropped_total{reason="values"} 1.0' in prometheus.prometheus_text(store)


def test_the_collector_is_registered_beside_others(store: MetricsStore) -> None:
    library = pytest.importorskip("prometheus_client")
    registry = library.CollectorRegistry()
    registry.register(open_export("prometheus", store))

    assert registry.get_sample_value("agentreg_memory_usage_ratio", {"agent": "ann"}) == 0.5


def test_opentelemetry_reads_the_latest_values(store: MetricsStore, tracking: Tracking) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.metrics")
    reader = pytest.importorskip("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
    provider = sdk.MeterProvider([reader])
    export = open_export(
        "opentelemetry", store, tracking, provider=provider, metrics=["memory_usage", "response_time", "unheard_of"]
    )

    def read() -> dict[str, dict[tuple[str, ...], float]]:
        data = reader.get_metrics_data()
        metrics = data.resource_metrics[0].scope_metrics[0].metrics if data else ()
        return {
            metric.name: {tuple(point.attributes.values()): point.value for point in metric.data.data_points}
            for metric in metrics
        }

    found = read()
    export.close()

    assert found["agentreg.memory_usage"] == {("ann",): 0.5, ('b"b\n',): 0.25}
    assert found["agentreg.tasks"] == {("ann", "ok"): 2, ("ann", "failed"): 1}
    assert found["agentreg.task_time"] == {("ann",): 6.0}
    assert read() == {}
    provider.shutdown()


@pytest.mark.parametrize(
    ("kind", "library", "extra"),
    [("prometheus", "prometheus_client", "monitoring"), ("opentelemetry", "opentelemetry.metrics", "otel")],
)
def test_a_missing_library_is_named_with_the_way_to_it(
    kind: str, library: str, extra: str, store: MetricsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(library)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"agentreg.extensions.monitoring.exporting.{kind}", raising=False)

    with pytest.raises(MissingLibraryError, match=rf'pip install "agentreg\[{extra}\]"') as caught:
        open_export(kind, store)

    assert isinstance(caught.value, ImportError)
