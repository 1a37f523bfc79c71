"""A step for connections that fail: other servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from agentreg.extensions.monitoring.recovery.calling import Caller
from agentreg.extensions.monitoring.recovery.plan import Case

__all__ = ["FallBack"]


class FallBack:
    """A step: try other servers, one after another. The one that answers stands in ``case.notes["server"]``.

    Args:
        servers: Agent's name -> the servers that it may use, the best first.
        connect: Agent's name and server -> whatever; it raises what is wrong. A coroutine function, or a plain one,
            which runs in a thread.
        timeout: Seconds that each server has.
    """

    def __init__(
        self, servers: Callable[[str], Iterable[str]], connect: Callable[[str, str], Any], timeout: float = 5.0
    ) -> None:
        self._servers = servers
        self._connect = connect
        self._timeout = timeout
        self._caller = Caller()

    async def __call__(self, case: Case) -> bool:
        """Whether one of them answers. Raises ConnectionError with everybody's reason if none does."""
        reasons = []
        for server in self._servers(case.agent):
            try:
                await self._caller.call((case.agent, server), self._timeout, self._connect, case.agent, server)
            except Exception as error:
                reasons.append(f"{server}: {error}")
            else:
                case.notes["server"] = server
                return True
        raise ConnectionError(
            "no server answers" + (f" ({'; '.join(reasons)})"[:500] if reasons else ": there are none")
        )
