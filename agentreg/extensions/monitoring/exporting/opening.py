"""Exports by name, each imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from agentreg.extensions.monitoring.metrics.errors import MetricsError
from agentreg.extensions.monitoring.metrics.store import MetricsStore
from agentreg.extensions.monitoring.tracking import Tracking

__all__ = ["MissingLibraryError", "open_export"]

_EXPORTS = {
    "prometheus": ("prometheus", "PrometheusCollector", "monitoring"),
    "opentelemetry": ("opentelemetry", "OpenTelemetryExport", "otel"),
}


class MissingLibraryError(MetricsError, ImportError):
    """An export needs a library that is not installed.

    Attributes:
        export: What was asked for.
        extra: What brings the library.
    """

    def __init__(self, export: str, extra: str) -> None:
        super().__init__(export, extra)
        self.export, self.extra = export, extra

    def __str__(self) -> str:
        return (
            f'the export to {self.export} needs a library that is not installed: pip install "agentreg[{self.extra}]"'
        )


def open_export(kind: str, store: MetricsStore, tracking: Tracking | None = None, **options: Any) -> Any:
    """An export of *kind* ``"prometheus"`` (a `PrometheusCollector`) or ``"opentelemetry"`` (an `OpenTelemetryExport`).

    *options* are those of its class. Raises ValueError if there is no such
    kind, and MissingLibraryError, which is an ImportError, if its library is
    not installed.

    >>> open_export("graphite", MetricsStore())
    Traceback (most recent call last):
    ValueError: kind: expected one of prometheus, opentelemetry; got 'graphite'
    """
    if kind not in _EXPORTS:
        raise ValueError(f"kind: expected one of {', '.join(_EXPORTS)}; got {kind!r:.80}")
    module, name, extra = _EXPORTS[kind]
    try:
        found = import_module(f"agentreg.extensions.monitoring.exporting.{module}")
    except ModuleNotFoundError as error:
        raise MissingLibraryError(kind, extra) from error
    return getattr(found, name)(store, tracking, **options)
