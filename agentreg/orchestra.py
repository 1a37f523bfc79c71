"""Orchestra: one run over a topology, and the cleaning up after it."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

from agentreg.agent import lent, settled_call
from agentreg.errors import TopologyError
from agentreg.registry import AgentRegistry, observed
from agentreg.topology import Topology

__all__ = ["ExecutionConfig", "Orchestra", "OrchestraResult"]

_log = logging.getLogger("agentreg")

GRACE = 1.0  # seconds that a cancelled node or clean-up gets to unwind before it is left to itself


@dataclass(frozen=True)
class ExecutionConfig:
    """How a run goes, and what is cleaned up after it.

    Attributes:
        auto_cleanup_agents: Clean up and unregister the agents at the end, however the run ends.
        cleanup_scope: Those of all nodes, or only those that were started.
        cleanup_timeout: Seconds that each agent's ``cleanup()`` may take.
        max_concurrency: How many nodes may run at the same time; None: all that can.
        node_timeout: Seconds that a node may take, waiting for its pool included; None: no limit.
        on_error: After a failure, ``"stop"`` everything, or ``"continue"`` with what does not depend on it.

    Raises:
        ValueError: a value is out of range; it says which.
    """

    auto_cleanup_agents: bool = True
    cleanup_scope: Literal["topology_nodes", "used_agents"] = "topology_nodes"
    cleanup_timeout: float = 10.0
    max_concurrency: int | None = None
    node_timeout: float | None = None
    on_error: Literal["stop", "continue"] = "stop"

    def __post_init__(self) -> None:
        _one_of("cleanup_scope", self.cleanup_scope, ("topology_nodes", "used_agents"))
        _one_of("on_error", self.on_error, ("stop", "continue"))
        for name, value in (
            ("cleanup_timeout", self.cleanup_timeout),
            ("max_concurrency", self.max_concurrency),
            ("node_timeout", self.node_timeout),
        ):
            if value is not None and not value > 0:
                raise ValueError(f"{name}: expected a number above 0, got {value!r}")


@dataclass
class OrchestraResult:
    """How a run ended.

    Attributes:
        success: Whether every node returned.
        final_response: The sink's return value, unchanged; of several sinks, a dict by name. None
            (or without the name) where a sink did not return.
        results: Node -> what it returned.
        durations: Node -> seconds from its start to its end.
        errors: Node -> what it raised.
        skipped: Node -> why it was stopped, or not run at all.
        cleanup_errors: Agent -> what its clean-up raised.
    """

    success: bool = False
    final_response: Any = None
    results: dict[str, Any] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    cleanup_errors: dict[str, BaseException] = field(default_factory=dict)


class Orchestra:
    """Runs a topology of registered agents and pools."""

    @classmethod
    async def run(
        cls,
        task: Any,
        topology: Topology | Mapping[str, Any] | Sequence[str],
        agent_registry: Any = None,
        context: Mapping[str, Any] | None = None,
        execution_config: ExecutionConfig | None = None,
        max_steps: int = 100,
    ) -> OrchestraResult:
        """Run *task* through *topology* and return how it went.

        Nodes run as soon as those before them are done. A source gets
        ``run(task)``; the others ``run(task, context={predecessor: result})``,
        where *context* comes first if it is given (and is then given to the
        sources too). A pool's node borrows a member and gives it back. At
        most *max_steps* nodes are started.

        At the end, on success, failure, time-out and cancellation alike, the
        agents are cleaned up side by side and unregistered, but for pools,
        their members, and agents that another run still uses: the last one
        cleans up.

        Raises:
            TopologyError: the topology is malformed, or names what isn't
                registered; nothing was run and nothing is cleaned up.
            asyncio.CancelledError: the run was cancelled; it has cleaned up.
        """
        plan = Topology.of(topology)
        registry = AgentRegistry if agent_registry is None else agent_registry
        config = ExecutionConfig() if execution_config is None else execution_config
        cast = _Cast(plan, registry)
        run = _Run(task, plan, cast, dict(context or {}), config, max_steps)
        try:
            await run.play()
        finally:
            await _uninterrupted(cast.leave(config, run.started, run.result.cleanup_errors))
        return run.result


class _Cast:
    """The agents and pools of one run, found by name and held while it lasts."""

    def __init__(self, plan: Topology, registry: Any) -> None:
        self.registry = registry
        self.pools: dict[str, Any] = {}
        self.agents: dict[str, Any] = {}
        for node in plan.nodes:
            pool = registry.get_pool(node)
            agent = registry.get(node) if pool is None else None
            if pool is not None:
                self.pools[node] = pool
            elif agent is not None:
                self.agents[node] = agent
            else:
                raise TopologyError(f"topology: no agent or pool is registered under the node's name {node!r}")
        for index, (node, agent) in enumerate(self.agents.items()):
            if not _usage.enter(agent):
                for used in list(self.agents.values())[:index]:
                    _usage.leave(used, wanted=False)
                raise TopologyError(f"topology: the agent {node!r} is being cleaned up by another run")

    async def leave(self, config: ExecutionConfig, started: set[str], errors: dict[str, BaseException]) -> None:
        """Clean up and unregister what nobody else uses."""
        in_scope = started if config.cleanup_scope == "used_agents" else set(self.agents)
        last = []
        for node, agent in self.agents.items():
            wanted = config.auto_cleanup_agents and node in in_scope and not self.registry.is_pool_instance(node)
            if _usage.leave(agent, wanted):
                last.append((node, agent))
        await asyncio.gather(*(self._clean(node, agent, config.cleanup_timeout, errors) for node, agent in last))

    async def _clean(self, node: str, agent: Any, timeout: float, errors: dict[str, BaseException]) -> None:
        try:
            cleanup = getattr(agent, "cleanup", None)
            if callable(cleanup):
                await _within(settled_call(cleanup), timeout, f"the clean-up of {node!r}")
        except (Exception, asyncio.CancelledError) as error:  # the second of its own doing: nobody cancels this
            errors[node] = error
            _log.warning("the clean-up of agent %r failed: %r", node, error)
        finally:
            try:
                for name in (name for name, other in self.agents.items() if other is agent):
                    self.registry.unregister_if_same(name, agent)
            finally:
                _usage.cleaned(agent)


class _Usage:
    """Which agents are used by how many runs, over all threads and loops.

    Keyed by identity; a run holds its agents, so that an id stays theirs.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._runs: dict[int, int] = {}
        self._wanted: set[int] = set()
        self._cleaning: set[int] = set()

    def enter(self, agent: object) -> bool:
        with self._lock:
            if id(agent) in self._cleaning:
                return False
            self._runs[id(agent)] = self._runs.get(id(agent), 0) + 1
            return True

    def leave(self, agent: object, wanted: bool) -> bool:
        """Whether the caller is to clean it up now."""
        key = id(agent)
        with self._lock:
            self._runs[key] -= 1
            if wanted:
                self._wanted.add(key)
            if self._runs[key]:
                return False
            del self._runs[key]
            if key not in self._wanted:
                return False
            self._wanted.discard(key)
            self._cleaning.add(key)
            return True

    def cleaned(self, agent: object) -> None:
        with self._lock:
            self._cleaning.discard(id(agent))


_usage = _Usage()


class _Run:
    """The nodes in flight, and what came of them."""

    def __init__(
        self, task: Any, plan: Topology, cast: _Cast, context: dict[str, Any], config: ExecutionConfig, max_steps: int
    ) -> None:
        self.task = task
        self.plan = plan
        self.cast = cast
        self.context = context
        self.config = config
        self.max_steps = max_steps
        self.id = uuid4().hex
        self.result = OrchestraResult()
        self.started: set[str] = set()
        self.tasks: dict[asyncio.Task[Any], str] = {}
        self.gate = asyncio.Semaphore(config.max_concurrency or len(plan.nodes))

    async def play(self) -> None:
        """Run every node that can be run, in order of the arrows."""
        sorter = self.plan.sorter()
        try:
            while sorter.is_active() and not self._stopped():
                for node in sorter.get_ready():
                    self._start(node)
                if not self.tasks:
                    break
                done, _ = await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    node = self.tasks.pop(task)
                    if self._finish(node, task):
                        sorter.done(node)
        finally:
            await _cancel(self.tasks)
        self._conclude()

    def _stopped(self) -> bool:
        return bool(self.result.errors or self.result.skipped) and self.config.on_error == "stop"

    def _start(self, node: str) -> None:
        if len(self.started) >= self.max_steps:
            self.result.skipped[node] = f"not run: {self.max_steps} nodes were started, which is max_steps"
            return
        self.started.add(node)
        self.tasks[asyncio.ensure_future(self._node(node))] = node

    async def _node(self, node: str) -> Any:
        async with self.gate:
            started = time.perf_counter()
            try:
                if self.config.node_timeout is None:
                    return await self._perform(node)
                return await _within(self._perform(node), self.config.node_timeout, f"node {node!r}")
            finally:
                self.result.durations[node] = time.perf_counter() - started

    async def _perform(self, node: str) -> Any:
        before = {name: self.result.results[name] for name in self.plan.predecessors(node)}
        context = {**self.context, **before}
        told = {"context": context} if context else {}
        pool = self.cast.pools.get(node)
        if pool is None:
            return await observed(node, settled_call(self.cast.agents[node].run, self.task, **told))
        async with lent(pool, f"{self.id}:{node}", timeout=math.inf) as member:
            return await observed(getattr(member, "name", node), settled_call(member.run, self.task, **told))

    def _finish(self, node: str, task: asyncio.Task[Any]) -> bool:
        error = asyncio.CancelledError(f"node {node!r} was cancelled") if task.cancelled() else task.exception()
        if error is None:
            self.result.results[node] = task.result()
            return True
        self.result.errors[node] = error
        _log.warning("node %r failed: %r", node, error)
        return False

    def _conclude(self) -> None:
        result = self.result
        sinks = self.plan.sinks()
        for node in self.plan.nodes:
            if node not in result.results and node not in result.errors:
                result.skipped.setdefault(node, self._why_skipped(node))
        result.success = len(result.results) == len(self.plan.nodes)
        if len(sinks) == 1:
            result.final_response = result.results.get(sinks[0])
        else:
            result.final_response = {sink: result.results[sink] for sink in sinks if sink in result.results}

    def _why_skipped(self, node: str) -> str:
        if node in self.started:
            return "stopped, because another node failed"
        missing = [name for name in self.plan.predecessors(node) if name not in self.result.results]
        return f"not run: there is no result of {missing[0]!r}" if missing else "not run, because another node failed"


def _one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: expected {' or '.join(map(repr, allowed))}, got {value!r}")


async def _within(work: Coroutine[Any, Any, Any], timeout: float, what: str) -> Any:
    # not wait_for: it would wait for ever for work that ignores its cancellation
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=timeout)
        if task.done():
            return task.result()
        raise TimeoutError(f"{what} did not finish within {timeout} s")
    finally:
        await _cancel([task])


async def _cancel(tasks: Any) -> None:
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending, timeout=GRACE)
    for task in pending:
        if task.done() and not task.cancelled():
            task.exception()  # seen: asyncio has nothing to complain about


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Await *work* to its end, even when this task is cancelled meanwhile; then be cancelled."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    task.result()
