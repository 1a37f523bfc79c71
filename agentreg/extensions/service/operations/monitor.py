"""`Monitor`: the metrics and the alerts of a service, opened, fed and closed in one thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from agentreg.extensions.coordination import AgentDirectory
from agentreg.extensions.monitoring import (
    AlertEvent,
    Alerts,
    LogHandler,
    MetricsStore,
    MetricsStoreError,
    SqliteKeeper,
)
from agentreg.extensions.service.operations.alerting import AlertDesk
from agentreg.extensions.service.operations.config import OperationsConfig
from agentreg.extensions.service.operations.files import Files, mend
from agentreg.extensions.service.operations.rulebook import RuleBook
from agentreg.extensions.service.operations.sampling import Columns, Known, Sampling

__all__ = ["Clocks", "Monitor", "Round"]

_log = logging.getLogger(__name__)
_PATIENCE = 2.0  # seconds to wait for other users of a file
_FAREWELL = 1.0  # seconds for alerts that wait to be posted


class Clocks(NamedTuple):
    """The two clocks of the operations.

    Attributes:
        wall: Gives the seconds since 1970.
        monotonic: Gives seconds that never go back.
    """

    wall: Callable[[], float]
    monotonic: Callable[[], float]


class Round(NamedTuple):
    """What came of a sample.

    Attributes:
        columns: Metric -> agent id -> value.
        events: What became of alerts, silenced ones included.
    """

    columns: Columns
    events: list[AlertEvent]


class Monitor:
    """The parts, opened. Its methods block, and belong to one thread; `store`, `alerts` and `desk` to any.

    Args:
        config: What is watched, and how often.
        files: Where it is kept.
        directory: Whose records.
        given: The bytes that an agent was allocated; None for none.
        name_of: The name that people know an agent by.
        clocks: The time.

    Raises KeeperError, MetricsStoreError or sqlite3.Error: a file can't be opened now.
    """

    def __init__(
        self,
        config: OperationsConfig,
        files: Files,
        directory: AgentDirectory,
        given: Callable[[str], int | None],
        name_of: Callable[[str], str],
        clocks: Clocks,
    ) -> None:
        mend(files.alerts, clocks.wall)
        mend(files.metrics if files.own_metrics else None, clocks.wall)
        self.rules = RuleBook(files.alerts)
        self.alerts = Alerts(
            self.rules.rules(config.alert_rules(), frozenset(config.rules)),
            clock=clocks.monotonic,
            wall=clocks.wall,
            handlers=[LogHandler()],
            keeper=None if files.alerts is None else SqliteKeeper(files.alerts, patience=_PATIENCE),
        )
        self.store = MetricsStore(
            files.metrics or ":memory:", interval=config.interval, clock=clocks.wall, patience=_PATIENCE
        )
        self.desk = AlertDesk(self.alerts, name_of)
        self._sampling = Sampling(directory, self.store, self.alerts, given, clocks.wall, clocks.monotonic)
        self._webhook = config.webhook_handler()
        if self._webhook is not None:
            self._webhook.start()
            self.alerts.add_handler(self._webhook)

    def round(self) -> Round:
        """Take one sample of everybody, look at the rules, and write what is due."""
        columns = self._sampling.sample()
        events = self.alerts.evaluate()
        if self.store.flush_due:
            self.flush()
        return Round(columns, events)

    def feed(self, fresh: Mapping[str, Known | None]) -> list[AlertEvent]:
        """Take what these say just now, and look at the rules; see `Sampling.feed`."""
        self._sampling.feed(fresh)
        return self.alerts.evaluate()

    def depart(self, agent_ids: Iterable[str]) -> list[AlertEvent]:
        """These have left."""
        return self._sampling.forget(agent_ids)

    def flush(self) -> None:
        """Write the samples that wait; if the file can't be written now, they wait on."""
        try:
            self.store.flush()
        except MetricsStoreError as error:
            _log.warning("samples wait in memory: %s", error)

    def close(self) -> None:
        """Write the samples that wait, and end."""
        try:
            self.store.close()
        except MetricsStoreError as error:
            _log.error("the last samples were not written: %s", error)
        if self._webhook is not None and not self._webhook.close(_FAREWELL):
            _log.warning("some alerts were not posted in time")
