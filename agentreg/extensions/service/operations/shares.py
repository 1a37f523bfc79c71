"""Memory of the agents: who has a share of the budget, and who waits for one, as their records ask for it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from agentreg.extensions.coordination import AgentMetadata, AgentStatus
from agentreg.extensions.resources import (
    Allocation,
    Granted,
    InsufficientResourcesError,
    Preempted,
    RequestTooLargeError,
    ResourceEvent,
    ScalingAdvice,
    ScalingAdvisor,
    SizeError,
    parse_size,
)
from agentreg.extensions.service.operations.config import OperationsConfig
from agentreg.extensions.service.operations.monitor import Clocks
from agentreg.extensions.service.refusals import Refusal

__all__ = ["Advice", "Shares", "Wish", "is_there", "wish_of"]

Priority = Literal["critical", "important", "normal", "low"]

_log = logging.getLogger(__name__)
_LIMIT = "/config/resource_limit"
_RANKS: tuple[tuple[int, Priority], ...] = ((9, "critical"), (7, "important"), (4, "normal"))
_ADVICE = 50
_TASKS, _MOST_TASKS = 10, 1_000_000


class Wish(NamedTuple):
    """What an agent asks for.

    Attributes:
        memory: Bytes.
        priority: ``critical``, ``important``, ``normal`` or ``low``.
        tasks: How many tasks at a time it is for.
    """

    memory: int
    priority: Priority
    tasks: int


class Advice(NamedTuple):
    """Advice to scale, and when it was given.

    Attributes:
        time: Seconds since 1970.
        advice: The advice.
    """

    time: float
    advice: ScalingAdvice


def wish_of(config: Mapping[str, Any], resources: Mapping[str, Any]) -> Wish | None:
    """What a record asks for by its ``resource_limit`` and ``priority``; None if nothing. A Refusal (400).

    >>> wish_of({"resource_limit": "1024mb", "priority": 8}, {})
    Wish(memory=1073741824, priority='important', tasks=10)
    """
    limit = config.get("resource_limit")
    if limit is None:
        return None
    try:
        memory = parse_size(limit, "config.resource_limit")
    except SizeError as error:
        raise Refusal(400, str(error), _LIMIT) from None
    tasks = resources.get("max_concurrent_tasks")
    if isinstance(tasks, bool) or not isinstance(tasks, int) or not 0 <= tasks <= _MOST_TASKS:
        tasks = _TASKS
    return Wish(memory, _word(config.get("priority")), tasks) if memory else None


def _word(priority: Any) -> Priority:
    """The word for a priority from 1 to 10; 9 and 10 are critical."""
    if isinstance(priority, bool) or not isinstance(priority, (int, float)):
        return "normal"
    return next((word for least, word in _RANKS if priority >= least), "low")


def is_there(record: AgentMetadata | None) -> bool:
    """Whether it can have a share: it has neither stopped nor gone silent."""
    return record is not None and record.status in (AgentStatus.ACTIVE, AgentStatus.DEGRADED)


class Shares:
    """The shares of one service. For one event loop.

    Args:
        config: The budget.
        clocks: The time.
        changed: Called with the id of an agent whose share has changed by itself.

    Attributes:
        manager: Who gives them.
        advice: Advice to scale, the oldest first.
        held: Agent id -> what it has, or waits for; those that have ended may be among them.
    """

    def __init__(self, config: OperationsConfig, clocks: Clocks, changed: Callable[[str], None]) -> None:
        self.manager = config.manager(clock=clocks.monotonic)
        self.advice: deque[Advice] = deque(maxlen=_ADVICE)
        self.held: dict[str, Allocation] = {}
        self._clocks = clocks
        self._has_budget = config.has_budget
        self._changed = changed
        self._advisor = ScalingAdvisor(self.manager, clock=clocks.monotonic, handler=self._advised)
        self._listening = self.manager.subscribe(self._hear)

    def close(self) -> None:
        """Hear nothing more."""
        self._listening.close()
        self.manager.close()

    # -- for the pipelines --------------------------------------------------------

    def allocate(self, agent: str, *, memory: Any, priority: Any, tasks: int) -> Place:
        """A place for an agent: a share, or a place in the line. Raises RequestTooLargeError."""
        self._ask(agent, Wish(memory, priority, tasks))
        return Place(self, agent)

    def available(self, memory: Any) -> bool:
        """Whether so much could be granted at once."""
        return self.manager.available(memory)

    def release(self, agent: str) -> bool:
        """Take back what an agent has, or waits for."""
        self.held.pop(agent, None)
        return self.manager.release(agent)

    # -- as records ask for it ----------------------------------------------------

    def asked(self, config: Mapping[str, Any], resources: Mapping[str, Any]) -> Wish | None:
        """What is asked for. A Refusal (400) if that is no size; without a budget, such a text says nothing."""
        try:
            return wish_of(config, resources)
        except Refusal:
            if self._has_budget:
                raise
            return None

    def check(self, wish: Wish | None) -> None:
        """Refuse a wish that could never be fulfilled. A Refusal (409)."""
        if wish is None:
            return
        most = max(use.memory_total for use in self.manager.utilization().hosts.values())
        if wish.memory > most:
            detail = f"config.resource_limit: {wish.memory:,} bytes are more than any host has ({most:,}); ask for less"
            raise Refusal(409, detail, _LIMIT)

    def settle(self, agent_id: str, record: AgentMetadata | None) -> None:
        """See to it that an agent has, or waits for, what its record asks for; nothing, if it is not there."""
        wish = self._wish(record) if is_there(record) else None
        held = self.manager.get(agent_id)
        if wish is None:
            if held is not None:
                self.release(agent_id)
            return
        if held is not None and not self._fits(held, wish):
            self.release(agent_id)
            held = None
        if held is None:
            try:
                self._ask(agent_id, wish)
            except RequestTooLargeError as error:
                _log.warning("agent %r gets no memory: %s", agent_id, error)

    def _ask(self, agent_id: str, wish: Wish) -> None:
        self.held[agent_id] = self.manager.allocate(
            agent_id,
            memory=wish.memory,
            priority=wish.priority,
            tasks=wish.tasks,
            follow=False,
        )

    def _wish(self, record: AgentMetadata | None) -> Wish | None:
        assert record is not None
        try:
            return wish_of(record.config, record.resources)
        except Refusal:  # it was entered by somebody who does not look
            return None

    def _fits(self, held: Allocation, wish: Wish) -> bool:
        """Whether what an agent has is what it asks for, by now."""
        if held.priority != wish.priority:
            return held.granted and held.memory == wish.memory
        if held.memory != wish.memory:
            try:
                self.manager.resize(held, memory=wish.memory)
            except (InsufficientResourcesError, RequestTooLargeError):
                return False
        return True

    # -- what is shown ------------------------------------------------------------

    def given(self, agent_id: str) -> int | None:
        """The bytes that an agent was granted; None if it was not."""
        held = self.held.get(agent_id)
        return held.memory if held is not None and held.granted else None

    def allocation(self, agent_id: str) -> dict[str, Any] | None:
        """What a record shows of its agent's share; None without a budget, or a share."""
        held = self.manager.get(agent_id) if self._has_budget else None
        if held is None:
            return None
        return {"state": held.state, "host": held.host, "memory": held.memory, "priority": held.priority}

    def current(self) -> list[tuple[str, Allocation]]:
        """Agent id and share of all who have one, or wait, in the order in which they asked."""
        self.held = {agent: each for agent, each in self.held.items() if each.state in ("granted", "waiting")}
        return sorted(self.held.items(), key=lambda pair: pair[1].asked_at)

    def since(self, held: Allocation) -> float:
        """When it was asked for, in seconds since 1970."""
        return self._clocks.wall() - (self._clocks.monotonic() - held.asked_at)

    def look(self) -> None:
        """See whether there should be more, or less; a budget that nobody has asked for says neither."""
        if self._has_budget and self.held:
            self._advisor.check()

    # -- hearing ------------------------------------------------------------------

    def _advised(self, advice: ScalingAdvice) -> None:
        self.advice.append(Advice(self._clocks.wall(), advice))

    def _hear(self, event: ResourceEvent) -> None:
        if isinstance(event, (Granted, Preempted)):
            self._changed(event.agent)


class Place:
    """A share, or a place in the line for one: a registration does not wait for the memory itself."""

    granted = True

    def __init__(self, shares: Shares, agent_id: str) -> None:
        self._shares = shares
        self._agent_id = agent_id

    async def ready(self) -> Place:
        """This, at once."""
        return self

    def cancel(self) -> bool:
        """Give it up."""
        return self._shares.release(self._agent_id)
