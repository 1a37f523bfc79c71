"""Alerts: rules over the metrics of agents, and who hears of it when one is broken.

`WebhookHandler` needs the extra ``monitoring``; it is imported when it is
asked for.
"""

from typing import TYPE_CHECKING, Any

from agentreg.extensions.monitoring.alerts.defaults import DEFAULT_RULES
from agentreg.extensions.monitoring.alerts.delivery import Handler
from agentreg.extensions.monitoring.alerts.engine import Alerts
from agentreg.extensions.monitoring.alerts.errors import AlertNotFoundError, AlertRuleError, KeeperError
from agentreg.extensions.monitoring.alerts.events import Alert, AlertEvent
from agentreg.extensions.monitoring.alerts.handlers import CallbackHandler, LogHandler
from agentreg.extensions.monitoring.alerts.keeping import Changes, Keeper, Kept, KeptAlert
from agentreg.extensions.monitoring.alerts.rule import AlertRule
from agentreg.extensions.monitoring.alerts.silences import Silence
from agentreg.extensions.monitoring.alerts.sqlite_keeper import SqliteKeeper
from agentreg.extensions.monitoring.alerts.units import KNOWN_METRICS, Quantity

if TYPE_CHECKING:
    from agentreg.extensions.monitoring.alerts.webhook import WebhookHandler

__all__ = [
    "DEFAULT_RULES",
    "KNOWN_METRICS",
    "Alert",
    "AlertEvent",
    "AlertNotFoundError",
    "AlertRule",
    "AlertRuleError",
    "Alerts",
    "CallbackHandler",
    "Changes",
    "Handler",
    "Keeper",
    "KeeperError",
    "Kept",
    "KeptAlert",
    "LogHandler",
    "Quantity",
    "Silence",
    "SqliteKeeper",
    "WebhookHandler",
]


def __getattr__(name: str) -> Any:
    if name != "WebhookHandler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from agentreg.extensions.monitoring.alerts import webhook
    except ModuleNotFoundError as error:
        if error.name not in ("httpx", "stamina"):
            raise
        raise ImportError(f'{name} needs a package: pip install "agentreg[monitoring]"', name=error.name) from error
    return webhook.WebhookHandler
