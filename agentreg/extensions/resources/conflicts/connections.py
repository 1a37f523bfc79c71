"""ConnectionPool: connections to MCP servers, shared by agents, up to a limit; the rest wait in line."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import Self

from agentreg.extensions.resources.conflicts.errors import ConnectionUnavailableError

__all__ = ["ConnectionLease", "ConnectionPool", "ServerUsage"]


@dataclass(frozen=True)
class ServerUsage:
    """How much of a server's connections is in use.

    Attributes:
        connections: How many there are, those being opened or closed included; never above `limit`.
        limit: How many there may be.
        users: How many leases are held.
        waiting: How many wait in line.
    """

    connections: int
    limit: int
    users: int
    waiting: int


@dataclass(eq=False)
class _Connection:
    """One that is open, and how many use it."""

    value: Any
    users: int = 1


@dataclass(eq=False)
class _Waiter:
    """Who waits in line: what it is given is a connection, or None for the turn to open one."""

    agent: str
    turn: asyncio.Future[_Connection | None]


@dataclass(eq=False)
class _Server:
    """The state of one server."""

    limit: int
    sharing: int
    open: list[_Connection] = field(default_factory=list)
    opening: bool = False
    closing: int = 0
    line: deque[_Waiter] = field(default_factory=deque)

    @property
    def connections(self) -> int:
        return len(self.open) + self.opening + self.closing

    @property
    def may_open(self) -> bool:
        return not self.opening and self.connections < self.limit

    @property
    def least_used(self) -> _Connection | None:
        free = [each for each in self.open if each.users < self.sharing]
        return min(free, key=lambda each: each.users, default=None)


class ConnectionLease:
    """An agent's hold on a connection. Release it once, by `release` or the pool's `release_agent`.

    Attributes:
        server: The server's name.
        agent: Who holds it.
        connection: What the pool's *connect* gave; shared with others.
    """

    def __init__(self, pool: ConnectionPool, server: str, agent: str, held: _Connection) -> None:
        self.server, self.agent, self.connection = server, agent, held.value
        self._pool = pool
        self._held: _Connection | None = held

    async def release(self) -> None:
        """Give it up; the last to do so closes the connection, unless somebody waits for it. A second time is fine.

        Raises:
            Exception: what the pool's *close* raised; the connection counts as closed.
        """
        await _ended([self._let_go()])

    def _let_go(self) -> asyncio.Future[None] | None:
        held, self._held = self._held, None
        return None if held is None else self._pool._take_back(self, held)

    def __repr__(self) -> str:
        return f"<ConnectionLease of {self.agent!r} on {self.server!r}{'' if self._held else ', released'}>"


class ConnectionPool:
    """Connections to MCP servers, shared by agents.

    *connect* opens one to a server, given its name, and *close* closes what
    that gave; either may be a coroutine function. Up to *limit* connections
    are opened to each server (*limits* has the exceptions), one at a time,
    and closed when nobody uses them. When there are that many, each is
    shared by up to *sharing* agents, the least used first; who comes after
    that waits in line, and is served in order.

    Cancelling whoever waits or connects leaves nothing behind, provided
    that *connect*, when it is cancelled, leaves nothing behind. A failed
    attempt concerns the one that made it; the next in line tries anew. A
    connection that is being closed counts until it is.

    Thread-safe: no. A pool belongs to one event loop, as connections do.

    Raises:
        ValueError: a limit is below 1.

    Example:
        >>> import asyncio
        >>> async def main():
        ...     async with ConnectionPool(connect=str.upper, limit=1) as pool:
        ...         ann = await pool.acquire("github", "ann")
        ...         bob = await pool.acquire("github", "bob")
        ...         print(ann.connection, bob.connection is ann.connection, pool.usage("github").connections)
        ...         await ann.release()
        ...         await bob.release()
        >>> asyncio.run(main())
        GITHUB True 1
    """

    def __init__(
        self,
        connect: Callable[[str], Any],
        close: Callable[[Any], Any] = lambda connection: None,
        limit: int = 4,
        limits: Mapping[str, int] | None = None,
        sharing: int = 8,
        queue_limit: int = 10_000,
    ) -> None:
        self._connect, self._close = connect, close
        self._limit, self._limits = _at_least_one(limit, "limit"), dict(limits or {})
        for server, each in self._limits.items():
            _at_least_one(each, f"limits[{server!r}]")
        self._sharing = _at_least_one(sharing, "sharing")
        self._queue_limit = queue_limit
        self._servers: dict[str, _Server] = {}
        self._leases: dict[str, dict[ConnectionLease, None]] = {}
        self._closings: set[asyncio.Future[None]] = set()
        self._closed = False

    async def acquire(self, server: str, agent: str) -> ConnectionLease:
        """A lease on a connection to *server* for *agent*, waiting in line as long as it takes.

        Cancel it, or put a time-out around it, to leave the line.

        Raises:
            ConnectionUnavailableError: the pool is closed, too many wait, or the agent departed meanwhile.
            Exception: what *connect* raised.
        """
        self._refuse_if_closed(server)
        state = self._state(server)
        held = await self._turn(state, server, agent)
        if held is None:
            held = await self._open(state, server)
        if self._closed:  # meanwhile
            await _ended([self._drop(state, server, held)])
            self._refuse_if_closed(server)
        lease = ConnectionLease(self, server, agent, held)
        self._leases.setdefault(agent, {})[lease] = None
        return lease

    @contextlib.asynccontextmanager
    async def borrow(self, server: str, agent: str) -> AsyncIterator[Any]:
        """``async with pool.borrow(server, agent) as connection:`` gives it back at the end of the block."""
        lease = await self.acquire(server, agent)
        try:
            yield lease.connection
        finally:
            await lease.release()

    async def release_agent(self, agent: str) -> None:
        """Release whatever *agent* holds, and take it out of every line: it departs.

        All are released even if closing one fails.

        Raises:
            Exception: the first that *close* raised.
        """
        self._leave_lines(agent)
        await _ended([lease._let_go() for lease in self.leases(agent)])

    def leases(self, agent: str) -> list[ConnectionLease]:
        """What *agent* holds, the oldest first."""
        return list(self._leases.get(agent, ()))

    def room(self, server: str) -> int:
        """How many more agents could have a connection to *server* at once, without waiting in line."""
        state = self._state(server, keep=False)
        free = sum(self._sharing - each.users for each in state.open)
        free += (state.limit - len(state.open)) * self._sharing - state.opening
        return max(0, free - len(state.line))

    def usage(self, server: str) -> ServerUsage:
        """How much of the connections to *server* is in use now."""
        state = self._state(server, keep=False)
        users = sum(each.users for each in state.open)
        return ServerUsage(state.connections, state.limit, users, len(state.line))

    async def aclose(self) -> None:
        """Close every connection, and refuse whoever waits in line. A second time is fine.

        One that is being opened meanwhile is closed as soon as it is open.

        Raises:
            Exception: the first that *close* raised; the others are closed all the same.
        """
        self._closed = True
        for server, state in self._servers.items():
            while state.line:
                _refuse(state.line.popleft(), server, "the pool was closed")
        for leases in list(self._leases.values()):
            for lease in list(leases):
                lease._let_go()
        await _ended(list(self._closings))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    # -- coming -------------------------------------------------------------

    async def _turn(self, state: _Server, server: str, agent: str) -> _Connection | None:
        """A connection with a place taken in it, or None: the turn to open one."""
        if len(state.line) >= self._queue_limit:
            raise ConnectionUnavailableError(server, f"{len(state.line)} agents wait in line already; try again later")
        waiter = _Waiter(agent, asyncio.get_running_loop().create_future())
        state.line.append(waiter)
        self._serve(state)
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            self._step_back(state, server, waiter)
            raise

    def _serve(self, state: _Server) -> None:
        """Give the next ones in line what there is."""
        while state.line:
            may_open, shared = state.may_open, state.least_used
            if not may_open and shared is None:
                return
            waiter = state.line.popleft()
            if waiter.turn.done():  # cancelled, and its task has not run since
                continue
            if may_open:
                state.opening = True
                waiter.turn.set_result(None)
            elif shared is not None:
                shared.users += 1
                waiter.turn.set_result(shared)

    def _step_back(self, state: _Server, server: str, waiter: _Waiter) -> None:
        """A waiter was cancelled: what it was given in the same moment goes to the next."""
        if waiter in state.line:
            state.line.remove(waiter)
        elif not waiter.turn.cancelled() and waiter.turn.exception() is None:
            held = waiter.turn.result()
            if held is None:
                state.opening = False
            else:
                self._drop(state, server, held)
        self._after(state, server)

    async def _open(self, state: _Server, server: str) -> _Connection:
        try:
            opened = self._connect(server)
            held = _Connection(await opened if inspect.isawaitable(opened) else opened)
        except BaseException:
            state.opening = False
            self._after(state, server)
            raise
        state.opening = False
        state.open.append(held)
        self._serve(state)
        return held

    # -- going --------------------------------------------------------------

    def _take_back(self, lease: ConnectionLease, held: _Connection) -> asyncio.Future[None] | None:
        leases = self._leases[lease.agent]
        del leases[lease]
        if not leases:
            del self._leases[lease.agent]
        return self._drop(self._servers[lease.server], lease.server, held)

    def _drop(self, state: _Server, server: str, held: _Connection) -> asyncio.Future[None] | None:
        """One user less; the closing that has begun, if that was the last."""
        held.users -= 1
        self._serve(state)
        if held.users:
            return None
        state.open.remove(held)
        state.closing += 1
        closing = asyncio.ensure_future(self._shut(state, server, held.value))
        self._closings.add(closing)
        closing.add_done_callback(self._forget)
        return closing

    async def _shut(self, state: _Server, server: str, connection: Any) -> None:
        try:
            closed = self._close(connection)
            if inspect.isawaitable(closed):
                await closed
        finally:
            state.closing -= 1
            self._after(state, server)

    def _forget(self, closing: asyncio.Future[None]) -> None:
        self._closings.discard(closing)
        if not closing.cancelled():
            closing.exception()  # whoever released it was told

    def _after(self, state: _Server, server: str) -> None:
        self._serve(state)
        if not state.connections and not state.line and self._servers.get(server) is state:
            del self._servers[server]

    # -- the rest -----------------------------------------------------------

    def _state(self, server: str, keep: bool = True) -> _Server:
        state = self._servers.get(server)
        if state is None:
            state = _Server(self._limits.get(server, self._limit), self._sharing)
            if keep:
                self._servers[server] = state
        return state

    def _refuse_if_closed(self, server: str) -> None:
        if self._closed:
            raise ConnectionUnavailableError(server, "the pool was closed; make a new one")

    def _leave_lines(self, agent: str) -> None:
        for server, state in list(self._servers.items()):
            for waiter in [each for each in state.line if each.agent == agent]:
                state.line.remove(waiter)
                _refuse(waiter, server, f"{agent!r} departed while it waited")


def _refuse(waiter: _Waiter, server: str, reason: str) -> None:
    if not waiter.turn.done():
        waiter.turn.set_exception(ConnectionUnavailableError(server, reason))


async def _ended(closings: list[asyncio.Future[None] | None]) -> None:
    """Wait for all; then raise the first error. A closing that has begun is ended, whoever is cancelled."""
    begun = [closing for closing in closings if closing is not None]
    if begun:
        await asyncio.wait(begun)
    for closing in begun:
        closing.result()


def _at_least_one(value: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{what}: expected a whole number of at least 1, got {value!r}")
    return value
