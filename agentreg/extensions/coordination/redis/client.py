"""Scripts run on Redis servers, whatever becomes of these: an answer in time, or DirectoryUnavailableError."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

from redis import exceptions
from redis.backoff import ExponentialWithJitterBackoff

from agentreg.extensions.coordination.errors import DirectoryUnavailableError, ForeignKeyError
from agentreg.extensions.coordination.redis.nodes import AT_ONCE, Nodes, nodes_at
from agentreg.extensions.coordination.redis.scripts import KEYS, Script
from agentreg.extensions.coordination.redis.server import Words
from agentreg.extensions.coordination.redis.urls import Address

if sys.version_info >= (3, 11):
    from asyncio import timeout as timeout_after
else:  # redis-py brings it
    from async_timeout import timeout as timeout_after  # type: ignore[import-not-found,unused-ignore]

__all__ = ["Client"]

_PASSING = ("LOADING ", "MASTERDOWN ", "BUSY ", "NOREPLICAS ", "CLUSTERDOWN ", "TRYAGAIN ", "READONLY ", "UNBLOCKED ")


def _passes(error: Exception) -> bool:
    """Whether it is worth while to try again."""
    if isinstance(error, (exceptions.AuthenticationError, exceptions.AuthorizationError)):
        return False
    if isinstance(error, exceptions.ResponseError):
        kinds = (exceptions.ReadOnlyError, exceptions.ClusterError, exceptions.TryAgainError, exceptions.AskError)
        # servers before 7.0 put a text of their own before what a command in a script says
        return isinstance(error, kinds) or any(kind in str(error) for kind in _PASSING)
    return True


class Client:
    """One directory's connections to its servers.

    Thread-safe: no; it belongs to one event loop.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._keys = [
            [f"{{{address.prefix}:{partition}}}:{key}" for key in KEYS] for partition in range(address.partitions)
        ]
        self._logs = [keys[KEYS.index("log")] for keys in self._keys]
        self._nodes: Nodes | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """The partitions, by whether one command can read several of them."""
        partitions = range(self.address.partitions)
        return [(each,) for each in partitions] if self.address.mode == "cluster" else [tuple(partitions)]

    async def run(self, script: Script, partition: int, *arguments: str) -> list[Any]:
        """What *script* gives; after its own arguments it gets 1 if it may have run with them already.

        Tries again, with growing pauses, for as long as a call may take.
        Raises DirectoryUnavailableError then, or at once when trying again
        can't help; ForeignKeyError when a key isn't ours.
        """
        failure: Exception | None = None
        try:
            async with timeout_after(self.address.timeout), self._turns:
                pauses = ExponentialWithJitterBackoff(cap=0.5, base=0.01)
                failures = 0
                while True:
                    try:
                        async with timeout_after(self.patience):
                            return await self._send(script, partition, (*arguments, "1" if failures else "0"))
                    except (exceptions.RedisError, OSError, asyncio.TimeoutError) as error:
                        failure = error
                        await self._here().doubt()
                        self._raise_if_it_stays(error, partition)
                    failures += 1
                    await asyncio.sleep(pauses.compute(failures))
        except (TimeoutError, asyncio.TimeoutError):
            raise self._unavailable(failure) from failure

    def _raise_if_it_stays(self, error: Exception, partition: int) -> None:
        text = str(error)
        if text.startswith(("FOREIGN ", "WRONGTYPE")):
            raise ForeignKeyError(self.address.url, text.removeprefix("FOREIGN ")) from error
        if not _passes(error):
            raise self._unavailable(error) from error

    def _unavailable(self, failure: Exception | None) -> DirectoryUnavailableError:
        if failure is None:
            reason = f"nothing within {self.address.timeout:g} s"
        else:
            reason = f"{type(failure).__name__}: {failure}".rstrip(": ")
            if "unauthenticated" in reason:  # what a server says to long commands of someone who sent no password
                reason = "NOAUTH Authentication required"
        return DirectoryUnavailableError(self.address.url, reason)

    def _here(self) -> Nodes:
        if self._nodes is None:
            self._nodes = nodes_at(self.address, self._logs, self.patience)
        return self._nodes

    @property
    def patience(self) -> float:
        """Seconds until one attempt counts as failed: there must be time for another."""
        return self.address.timeout * 0.4

    async def _send(self, script: Script, partition: int, arguments: Sequence[str]) -> list[Any]:
        keys = self._keys[partition]
        server = await self._here().server(partition)
        try:
            answer: list[Any] = await server.ask("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except exceptions.NoScriptError:
            answer = await server.ask("EVAL", script.text, len(keys), *keys, *arguments)
        return answer

    async def await_news(
        self, group: Sequence[int], numbers: Sequence[int], seconds: float, script: Script, *arguments: str
    ) -> tuple[bool, Any]:
        """Come back when one of the partitions' logs goes beyond its number, or after *seconds*.

        Gives whether it does, and, if only one partition is asked for, what
        *script* gives then: the server runs it at once, without another
        round trip. None in its place means that it could not be run.

        Raises redis' errors, or TimeoutError.
        """
        logs = [self._logs[partition] for partition in group]
        ids = [f"{number}-0" for number in numbers]
        wait: Words = ("XREAD", "COUNT", 1, "BLOCK", max(1, int(seconds * 1000)), "STREAMS", *logs, *ids)
        keys = self._keys[group[0]]
        then: list[Words] = [("EVALSHA", script.sha, len(keys), *keys, *arguments)] if len(group) == 1 else []
        server = await self._here().server(group[0])
        async with timeout_after(seconds + self.patience):
            heard, *answers = await server.exchange(wait, *then)
        if isinstance(heard, exceptions.ResponseError):
            raise heard
        answer = answers[0] if answers and not isinstance(answers[0], exceptions.ResponseError) else None
        return heard is not None, answer

    async def close(self) -> None:
        """End every connection. The next call makes new ones."""
        nodes, self._nodes = self._nodes, None
        if nodes is not None:
            await nodes.close()
