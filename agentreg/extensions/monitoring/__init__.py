"""What agents use and how they do: metrics over time, figures of the registry, exports, alerts and recovery.

`MetricsStore` keeps samples and rolls them up, a `Sampler` takes them,
`Tracking` counts tasks, and `statistics` sums up a registry. The exports
need extras: `PrometheusCollector` is in `exporting.prometheus` (extra
``monitoring``), `OpenTelemetryExport` in `exporting.opentelemetry` (extra
``otel``), and `open_export` opens either. `Alerts` watches metrics by
rules; `HealthChecks` finds what is wrong with agents, and `Recovery` mends
it. `WebhookHandler`, `Children` and `Reconnect` need the extra
``monitoring``, and are imported when they are asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from agentreg.extensions.monitoring.alerts import (
    DEFAULT_RULES,
    KNOWN_METRICS,
    Alert,
    AlertEvent,
    AlertNotFoundError,
    AlertRule,
    AlertRuleError,
    Alerts,
    CallbackHandler,
    Changes,
    Keeper,
    KeeperError,
    Kept,
    KeptAlert,
    LogHandler,
    Quantity,
    Silence,
    SqliteKeeper,
)
from agentreg.extensions.monitoring.exporting.opening import MissingLibraryError, open_export
from agentreg.extensions.monitoring.figures import Performer, Record, Statistics, statistics
from agentreg.extensions.monitoring.metrics.errors import (
    MetricsError,
    MetricsStoreError,
    StepError,
    UnknownMetricError,
)
from agentreg.extensions.monitoring.metrics.names import TRACKED, UNITS
from agentreg.extensions.monitoring.metrics.pending import Limits
from agentreg.extensions.monitoring.metrics.sampler import Sampler
from agentreg.extensions.monitoring.metrics.series import Point, Series
from agentreg.extensions.monitoring.metrics.sketch import Sketch
from agentreg.extensions.monitoring.metrics.spans import Spans
from agentreg.extensions.monitoring.metrics.store import MetricsStore
from agentreg.extensions.monitoring.metrics.summary import Summary
from agentreg.extensions.monitoring.recovery import (
    Case,
    FallBack,
    Finding,
    GaveUp,
    GracefulRestart,
    HealthChecks,
    MemoryTaskQueue,
    Outcome,
    PlanFinished,
    PlanStarted,
    Recovery,
    RecoveryEvent,
    RecoveryPlan,
    ResourceLimits,
    RestartLimit,
    Step,
    StepFailed,
    StepFinished,
    StepSkipped,
    StepStarted,
    TaskQueue,
    Usage,
    connection_plan,
    file_permissions,
    give_tasks_to_others,
    resources_plan,
    unresponsive_plan,
)
from agentreg.extensions.monitoring.tracking import TaskFigures, Tracked, Tracking, record_task, tracked

if TYPE_CHECKING:
    from agentreg.extensions.monitoring.alerts import WebhookHandler
    from agentreg.extensions.monitoring.recovery import Child, Children, ForeignProcessError, Reconnect

__all__ = [
    "DEFAULT_RULES",
    "KNOWN_METRICS",
    "TRACKED",
    "UNITS",
    "Alert",
    "AlertEvent",
    "AlertNotFoundError",
    "AlertRule",
    "AlertRuleError",
    "Alerts",
    "CallbackHandler",
    "Case",
    "Changes",
    "Child",
    "Children",
    "FallBack",
    "Finding",
    "ForeignProcessError",
    "GaveUp",
    "GracefulRestart",
    "HealthChecks",
    "Keeper",
    "KeeperError",
    "Kept",
    "KeptAlert",
    "Limits",
    "LogHandler",
    "MemoryTaskQueue",
    "MetricsError",
    "MetricsStore",
    "MetricsStoreError",
    "MissingLibraryError",
    "Outcome",
    "Performer",
    "PlanFinished",
    "PlanStarted",
    "Point",
    "Quantity",
    "Reconnect",
    "Record",
    "Recovery",
    "RecoveryEvent",
    "RecoveryPlan",
    "ResourceLimits",
    "RestartLimit",
    "Sampler",
    "Series",
    "Silence",
    "Sketch",
    "Spans",
    "SqliteKeeper",
    "Statistics",
    "Step",
    "StepError",
    "StepFailed",
    "StepFinished",
    "StepSkipped",
    "StepStarted",
    "Summary",
    "TaskFigures",
    "TaskQueue",
    "Tracked",
    "Tracking",
    "UnknownMetricError",
    "Usage",
    "WebhookHandler",
    "connection_plan",
    "file_permissions",
    "give_tasks_to_others",
    "open_export",
    "record_task",
    "resources_plan",
    "statistics",
    "tracked",
    "unresponsive_plan",
]


_LATE = {
    "WebhookHandler": "alerts",
    **dict.fromkeys(("Child", "Children", "ForeignProcessError", "Reconnect"), "recovery"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
