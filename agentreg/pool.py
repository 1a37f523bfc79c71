"""AgentPool: interchangeable agents, borrowed and given back."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal

from typing_extensions import Self

from agentreg.agent import BaseAgent, MemberToBe, member_to_be, settled_call
from agentreg.errors import PoolClosedError, PoolExhaustedError
from agentreg.lending import Desk, InstanceAllocation, being_confirmed, loop_gate, thread_gate, wait_at
from agentreg.registry import AgentRegistry, set_name, withdraw
from agentreg.table import lock

__all__ = [
    "AgentPool",
    "InstanceAllocation",
    "cleanup_all_pools",
    "create_agent_pool",
    "create_agent_pool_sync",
    "get_pool_statistics",
]

_log = logging.getLogger("agentreg")


class AgentPool:
    """*num_instances* agents of one class, lent to branches and given back.

    A branch is one line of work: any id of yours. It holds at most one
    member; asking again gives the same one. The members are made at once
    and called ``base_0``, ``base_1``, ...; they, and the pool by
    `AgentRegistry.register_pool`, are found in the registry.

    Thread-safe: yes, and usable from any event loop: what one thread gives
    back wakes whoever waits in another.

    Args:
        agent_class: What to make; called with *args*, *kwargs*, and the member's name if it takes one.
        num_instances: How many.
        name: The base of the names; the class's name by default.

    Raises:
        ValueError: *num_instances* is below 1.
        Exception: what a member's constructor raises comes out unchanged; the members made before are undone.

    Attributes:
        instances: The members, by index.
        available_instances: Indices of the free ones.
        allocated_instances: Branch -> `InstanceAllocation`.
        instance_to_branch: Index -> branch.
        base_name, num_instances, agent_class: As given.

    Example:
        >>> class Echo(BaseAgent):
        ...     async def run(self, prompt, **kwargs):
        ...         return prompt
        >>> pool = AgentPool(Echo, 2, name="echo")
        >>> with pool.borrow("branch-1") as member:
        ...     member.name, pool.get_available_count()
        ('echo_0', 1)
    """

    clock = staticmethod(time.monotonic)
    total_allocations: int
    total_releases: int
    total_wait_time: float
    peak_concurrent_usage: int

    def __init__(
        self, agent_class: Callable[..., Any], num_instances: int, *args: Any, name: str | None = None, **kwargs: Any
    ) -> None:
        self._prepare(agent_class, num_instances, name)
        members: list[Any] = []
        try:
            # by extend, so that those made before a failure are known
            members.extend(_make(agent_class, f"{self.base_name}_{i}", args, kwargs) for i in range(num_instances))
        except BaseException:
            _undo(members)
            raise
        self._open(members)

    @classmethod
    async def create_async(
        cls, agent_class: Callable[..., Any], num_instances: int, *args: Any, name: str | None = None, **kwargs: Any
    ) -> Self:
        """A pool whose members are made by ``await agent_class.create_safe(...)``, all at the same time.

        A class without ``create_safe`` is called as usual. If one fails or
        the task is cancelled, the others are cleaned up and unregistered.
        """
        if not callable(getattr(agent_class, "create_safe", None)):
            return cls(agent_class, num_instances, *args, name=name, **kwargs)
        pool = cls.__new__(cls)
        pool._prepare(agent_class, num_instances, name)
        names = [f"{pool.base_name}_{index}" for index in range(num_instances)]
        pool._open(await _make_all(agent_class, names, args, kwargs))
        return pool

    def _prepare(self, agent_class: Callable[..., Any], num_instances: int, name: str | None) -> None:
        if num_instances < 1:
            raise ValueError(f"num_instances must be at least 1, got {num_instances}")
        self.agent_class = agent_class
        self.num_instances = num_instances
        self.base_name: str = name if name is not None else getattr(agent_class, "__name__", type(agent_class).__name__)

    def _open(self, members: list[Any]) -> None:
        self.instances = members
        self._desk = Desk(members, confirming=True)
        self.reset_statistics()

    # -- borrowing ----------------------------------------------------------

    def acquire_instance(self, branch_id: str, timeout: float | None = None) -> Any:
        """A member for *branch_id*; when none is free, wait up to *timeout* seconds, in turn.

        Without a time-out it does not wait. It blocks the thread: in an
        event loop, use `acquire_instance_async`.

        Raises:
            PoolExhaustedError: no member was free in time.
        """
        started = self.clock()
        refused: set[int] = set()
        while True:
            waiter = self._desk.ask(branch_id, refused)
            left = (timeout or 0) - (self.clock() - started)
            try:
                if waiter.loan is None and left > 0:
                    gate, wake = thread_gate()
                    waiter = self._desk.ask(branch_id, refused, wake)
                    if waiter.queued:
                        gate.acquire(timeout=min(left, threading.TIMEOUT_MAX))
                loan = self._desk.leave(waiter)
                if loan is None:
                    raise self._exhausted()
                step = self._step(loan, None, started, refused)
                if step == "wait":
                    gate, wake = thread_gate()
                    while (step := self._step(loan, wake, started, refused)) == "wait":
                        gate.acquire()
            except BaseException:
                self._desk.abandon(waiter)
                raise
            if step == "have":
                return loan.agent_instance

    async def acquire_instance_async(
        self, branch_id: str, timeout: float | None = 30.0, retry_interval: float | None = None
    ) -> Any:
        """The same for a task: woken in turn, never blocking the loop; None when the time is over.

        *timeout* None waits for ever. Safe to cancel: what was handed over
        meanwhile goes to the next. *retry_interval* is there for callers of
        pools that poll, such as MARSYS'; this one doesn't, and ignores it.
        """
        started = self.clock()
        refused: set[int] = set()
        while True:
            waiter = self._desk.ask(branch_id, refused)
            left = None if timeout is None else max(0.0, timeout - (self.clock() - started))
            try:
                if waiter.loan is None and (left is None or left > 0):
                    gate, wake = loop_gate()
                    waiter = self._desk.ask(branch_id, refused, wake)
                    if waiter.queued:
                        await wait_at(gate, left)
                loan = self._desk.leave(waiter)
                if loan is None:
                    return None
                step = self._step(loan, None, started, refused)
                if step == "wait":
                    gate, wake = loop_gate()
                    while (step := self._step(loan, wake, started, refused)) == "wait":
                        await wait_at(gate, None)
            except BaseException:
                self._desk.abandon(waiter)
                raise
            if step == "have":
                return loan.agent_instance

    def release_instance(self, branch_id: str) -> bool:
        """Give back what *branch_id* holds, from any thread; False when it holds nothing.

        A member whose own release raises is given back all the same.
        """
        with lock:
            loan = self.allocated_instances.get(branch_id)
            if loan is None or not self._desk.end(loan):
                return False
            if loan.confirmed:
                self.total_releases += 1
        if loan.confirmed:
            self._take_back(loan)
        elif not being_confirmed(loan):  # else whoever is asking the member finds that the loan has ended
            self._desk.shelve(loan.instance_id, used=False)
        return True

    def _take_back(self, loan: InstanceAllocation) -> None:
        try:
            release = getattr(loan.agent_instance, "release_instance", None)
            if callable(release):
                release(loan.branch_id)
        except Exception:
            _log.exception("the release of member %s of pool %r failed", loan.instance_id, self.base_name)
        finally:
            self._desk.shelve(loan.instance_id)

    @contextmanager
    def borrow(self, branch_id: str, timeout: float | None = None) -> Iterator[Any]:
        """A member for a ``with`` block; given back always.

        Raises:
            PoolExhaustedError: no member was free in time.
        """
        member = self.acquire_instance(branch_id, timeout)
        try:
            yield member
        finally:
            self.release_instance(branch_id)

    @asynccontextmanager
    async def aborrow(self, branch_id: str, timeout: float | None = 30.0) -> AsyncIterator[Any]:
        """A member for an ``async with`` block; given back always.

        Raises:
            PoolExhaustedError: no member was free in time.
        """
        member = await self.acquire_instance_async(branch_id, timeout)
        if member is None:
            raise self._exhausted()
        try:
            yield member
        finally:
            self.release_instance(branch_id)

    def _step(
        self, loan: InstanceAllocation, wake: Callable[[], object] | None, started: float, refused: set[int]
    ) -> Literal["have", "wait", "gone"]:
        step = self._desk.claim(loan, wake)
        if step != "confirm":
            return step
        accepted = False
        try:
            hold = getattr(loan.agent_instance, "acquire_instance", None)
            accepted = bool(hold(loan.branch_id)) if callable(hold) else True
        finally:
            if not accepted:
                refused.add(loan.instance_id)
                self._desk.refuse(loan)
        if not accepted:
            return "gone"
        loan.started = self.clock()
        with lock:
            confirmed = self._desk.confirm(loan)
            if confirmed:
                self.total_allocations += 1
                self.total_wait_time += loan.started - started
                self.peak_concurrent_usage = max(self.peak_concurrent_usage, len(self.allocated_instances))
        if not confirmed:
            self._take_back(loan)
        self._desk.tell(loan)
        return "have" if confirmed else "gone"

    def _exhausted(self) -> PoolExhaustedError:
        kind = PoolClosedError if self._desk.closed else PoolExhaustedError
        return kind(self.base_name, self.num_instances, len(self.allocated_instances), 1)

    # -- looking ------------------------------------------------------------

    @property
    def available_instances(self) -> set[int]:
        """Indices of the free members; the pool's own set, to be read only."""
        return self._desk.free

    @property
    def allocated_instances(self) -> dict[str, InstanceAllocation]:
        """Branch -> loan; the pool's own table, to be read only."""
        return self._desk.loans

    @property
    def instance_to_branch(self) -> dict[int, str]:
        """Index -> branch; the pool's own table, to be read only."""
        return self._desk.holders

    def get_instance_for_branch(self, branch_id: str) -> Any:
        """What *branch_id* holds, or None."""
        loan = self.allocated_instances.get(branch_id)
        return None if loan is None else loan.agent_instance

    def get_all_instances(self) -> list[Any]:
        """Every member, free or on loan; a copy."""
        return self.instances.copy()

    def get_available_count(self) -> int:
        """How many members are free."""
        return len(self.available_instances)

    def get_allocated_count(self) -> int:
        """How many members are on loan."""
        return len(self.allocated_instances)

    def get_statistics(self) -> dict[str, Any]:
        """Counts since the last reset, and the present loans; times in seconds.

        ``average_wait_time`` is over the loans that were made, waited for or not.
        """
        now = self.clock()
        with lock:
            loans = list(self.allocated_instances.values())
            return {
                "pool_name": self.base_name,
                "total_instances": self.num_instances,
                "available_instances": len(self.available_instances),
                "allocated_instances": len(loans),
                "total_allocations": self.total_allocations,
                "total_releases": self.total_releases,
                "peak_concurrent_usage": self.peak_concurrent_usage,
                "average_wait_time": self.total_wait_time / self.total_allocations if self.total_allocations else 0.0,
                "current_allocations": {
                    loan.branch_id: {
                        "instance_id": loan.instance_id,
                        "allocated_at": loan.allocated_at,
                        "duration": max(0.0, now - loan.started),
                    }
                    for loan in loans
                },
            }

    def reset_statistics(self) -> None:
        """Count from zero again; the peak starts at the present loans."""
        with lock:
            self.total_allocations = 0
            self.total_releases = 0
            self.total_wait_time = 0.0
            self.peak_concurrent_usage = len(self.allocated_instances)

    def __len__(self) -> int:
        return self.num_instances

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return (
            f"AgentPool(name={self.base_name!r}, instances={self.num_instances}, "
            f"available={self.get_available_count()}, allocated={self.get_allocated_count()})"
        )

    # -- leaving ------------------------------------------------------------

    async def cleanup(self) -> None:
        """Lend nothing any more, take every member back, clean each up on its own, and leave the registry.

        What one member raises is logged, and the rest goes on. Whoever
        waits is told at once. Calling it again does nothing.
        """
        if not self._desk.close():
            return
        members = self.instances.copy()
        try:
            for branch_id in list(self.allocated_instances):
                self.release_instance(branch_id)
            await asyncio.gather(*(_clean(member) for member in members))
        finally:
            AgentRegistry.unregister_pool(self)
            for member in members:
                withdraw(member)
            self.instances.clear()


async def create_agent_pool(
    agent_class: Callable[..., Any], num_instances: int = 1, register: bool = True, *args: Any, **kwargs: Any
) -> Any:
    """One agent for ``num_instances=1``, else a pool, registered unless *register* is false.

    ``create_safe`` is used when the class has it. If the pool's name is
    taken, its members are undone before the error comes out.
    """
    _at_least_one(num_instances)
    if num_instances == 1:
        create = getattr(agent_class, "create_safe", None)
        return await create(*args, **kwargs) if callable(create) else agent_class(*args, **kwargs)
    pool = await AgentPool.create_async(agent_class, num_instances, *args, **kwargs)
    if register:
        try:
            AgentRegistry.register_pool(pool)
        except BaseException:
            await pool.cleanup()
            raise
    return pool


def create_agent_pool_sync(
    agent_class: Callable[..., Any], num_instances: int = 1, register: bool = True, *args: Any, **kwargs: Any
) -> Any:
    """The same for classes whose constructor is all there is to their set-up."""
    _at_least_one(num_instances)
    if num_instances == 1:
        return agent_class(*args, **kwargs)
    pool = AgentPool(agent_class, num_instances, *args, **kwargs)
    if register:
        try:
            AgentRegistry.register_pool(pool)
        except BaseException:
            _undo(pool.instances)
            raise
    return pool


def get_pool_statistics(pool_or_name: Any) -> dict[str, Any]:
    """`AgentPool.get_statistics` of a pool, or of the one registered under a name.

    An unknown name gives ``{"error": ...}``.
    """
    pool = AgentRegistry.get_pool(pool_or_name) if isinstance(pool_or_name, str) else pool_or_name
    if pool is None:
        return {"error": f"Pool '{pool_or_name}' not found"}
    statistics: dict[str, Any] = pool.get_statistics()
    return statistics


async def cleanup_all_pools() -> None:
    """Clean up every registered pool, side by side; what one raises is logged."""
    await asyncio.gather(*(_clean(pool) for pool in list(AgentRegistry._pools.values())))


def _at_least_one(num_instances: int) -> None:
    if num_instances < 1:
        raise ValueError(f"num_instances must be at least 1, got {num_instances}")


def _make(agent_class: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    named = {**kwargs, "name": name} if _takes_name(agent_class) else kwargs
    token = member_to_be.set(MemberToBe(agent_class, name))
    try:
        member = agent_class(*args, **named)
    finally:
        member_to_be.reset(token)
    return _called(member, name)


async def _make_safely(agent_class: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    named = {**kwargs, "name": name} if _takes_name(_constructor(agent_class)) else kwargs
    expected = MemberToBe(agent_class, name)
    member_to_be.set(expected)  # in this task's own context
    try:
        return _called(await agent_class.create_safe(*args, **named), name)
    except BaseException:
        begun = AgentRegistry.get(name)
        if begun is not None and id(begun) == expected.agent:
            withdraw(begun)
        raise


async def _make_all(agent_class: Any, names: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    tasks = [asyncio.ensure_future(_make_safely(agent_class, name, args, kwargs)) for name in names]
    try:
        results = await asyncio.gather(*tasks, return_exceptions=True)
    except BaseException:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await _undo_all(results)
        raise
    for failure in results:
        if isinstance(failure, BaseException):
            await _undo_all(results)
            raise failure
    return results


def _constructor(agent_class: Any) -> Callable[..., Any]:
    # BaseAgent's own create_safe passes everything on: the constructor decides then
    create: Any = agent_class.create_safe
    own = getattr(create, "__func__", None) is BaseAgent.create_safe.__func__  # type: ignore[attr-defined]
    return agent_class if own else create  # type: ignore[no-any-return]


def _takes_name(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return False
    by_keyword = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return ("name" in parameters and parameters["name"].kind in by_keyword) or any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def _called(member: Any, name: str) -> Any:
    if getattr(member, "name", None) != name:
        moved = withdraw(member)
        set_name(member, name)
        if moved:
            AgentRegistry.register(member, name)
    return member


def _undo(members: list[Any]) -> None:
    for member in members:
        withdraw(member)
        cleanup = getattr(member, "cleanup", None)
        if callable(cleanup) and not inspect.iscoroutinefunction(cleanup):
            try:
                cleanup()
            except Exception:
                _log.exception("the clean-up of %s failed", type(member).__name__)


async def _undo_all(results: list[Any]) -> None:
    members = [result for result in results if not isinstance(result, BaseException)]
    for member in members:
        withdraw(member)
    await asyncio.gather(*(_clean(member) for member in members))


async def _clean(thing: Any) -> None:
    cleanup = getattr(thing, "cleanup", None)
    if not callable(cleanup):
        return
    task = asyncio.ensure_future(settled_call(cleanup))
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
    if task.cancelled() or task.exception() is not None:
        error = None if task.cancelled() else task.exception()
        _log.error("the clean-up of %s failed: %r", type(thing).__name__, error or "it was cancelled", exc_info=error)
