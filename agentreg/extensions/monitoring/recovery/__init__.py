"""Health and recovery: what is wrong with an agent, and what is done about it.

`Children` needs psutil and `Reconnect` stamina, both of the extra
``monitoring``; they are imported when they are asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from agentreg.extensions.monitoring.recovery.agents import GracefulRestart
from agentreg.extensions.monitoring.recovery.checks import HealthChecks, ResourceLimits, Usage, file_permissions
from agentreg.extensions.monitoring.recovery.engine import Outcome, Recovery
from agentreg.extensions.monitoring.recovery.events import (
    GaveUp,
    PlanFinished,
    PlanStarted,
    RecoveryEvent,
    StepFailed,
    StepFinished,
    StepSkipped,
    StepStarted,
)
from agentreg.extensions.monitoring.recovery.fallback import FallBack
from agentreg.extensions.monitoring.recovery.finding import Finding
from agentreg.extensions.monitoring.recovery.plan import Case, RecoveryPlan, Step
from agentreg.extensions.monitoring.recovery.plans import connection_plan, resources_plan, unresponsive_plan
from agentreg.extensions.monitoring.recovery.restarts import RestartLimit
from agentreg.extensions.monitoring.recovery.tasks import MemoryTaskQueue, TaskQueue, give_tasks_to_others

if TYPE_CHECKING:
    from agentreg.extensions.monitoring.recovery.children import Child, Children, ForeignProcessError
    from agentreg.extensions.monitoring.recovery.connections import Reconnect

__all__ = [
    "Case",
    "Child",
    "Children",
    "FallBack",
    "Finding",
    "ForeignProcessError",
    "GaveUp",
    "GracefulRestart",
    "HealthChecks",
    "MemoryTaskQueue",
    "Outcome",
    "PlanFinished",
    "PlanStarted",
    "Reconnect",
    "Recovery",
    "RecoveryEvent",
    "RecoveryPlan",
    "ResourceLimits",
    "RestartLimit",
    "Step",
    "StepFailed",
    "StepFinished",
    "StepSkipped",
    "StepStarted",
    "TaskQueue",
    "Usage",
    "connection_plan",
    "file_permissions",
    "give_tasks_to_others",
    "resources_plan",
    "unresponsive_plan",
]

_LATE = {
    **dict.fromkeys(("Child", "Children", "ForeignProcessError"), "children"),
    "Reconnect": "connections",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_LATE[name]}")
    except ModuleNotFoundError as error:
        if error.name not in ("psutil", "stamina"):
            raise
        raise ImportError(f'{name} needs a package: pip install "agentreg[monitoring]"', name=error.name) from error
    return getattr(module, name)
