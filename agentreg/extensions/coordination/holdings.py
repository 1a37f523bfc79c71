"""What one directory has registered, and holds on behalf of."""

from __future__ import annotations

import itertools
import logging
import os
import weakref
from typing import Any

from agentreg.extensions.coordination.backend import Delete, Put
from agentreg.extensions.coordination.events import Change
from agentreg.extensions.coordination.following import Follower, here
from agentreg.extensions.coordination.processes import this_process
from agentreg.extensions.coordination.record import AgentMetadata

__all__ = ["Holdings", "new_token"]

_log = logging.getLogger(__name__)


_prefix = os.urandom(8).hex()
_numbers = itertools.count(1)


def _number_anew() -> None:
    global _prefix
    _prefix = os.urandom(8).hex()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_number_anew)


def new_token() -> str:
    """The name of a new registration, different from every other's: a random part for this process, and a number."""
    return f"{_prefix}-{next(_numbers)}"


class _Ref(weakref.ref[Any]):
    """A weak reference that knows which registration it stands for."""

    __slots__ = ("agent_id", "token")
    agent_id: str
    token: str


_every: weakref.WeakSet[Holdings] = weakref.WeakSet()


class Holdings:
    """The registrations made here.

    Attributes:
        own: By agent id.
        insist: Whether to register again what others took for dead.
    """

    def __init__(self, follower: Follower, insist: bool) -> None:
        self.own: dict[str, AgentMetadata] = {}
        self.insist = insist
        self._follower = follower
        self._lost: list[AgentMetadata] = []
        _every.add(self)

    def hold(self, agent: object, record: AgentMetadata) -> None:
        """Join *record* with its agent: weakly, if that can be."""
        try:
            reference = _Ref(agent, self._follower.replica.dead.append)
        except TypeError:
            record._agent = agent
        else:
            reference.agent_id, reference.token = record.agent_id, record.token
            record._agent = reference
        if self._follower.remote:
            here[record.token] = record

    def own_up(self, record: AgentMetadata) -> None:
        """*record* was registered here."""
        self.own[record.agent_id] = record
        if self._follower.remote:
            here[record.token] = record

    def let_go(self, change: Change) -> None:
        """A record has left the directory; perhaps it was one of these.

        One that is only missing in a new listing is kept for `settle`.
        """
        if change.reason == "lost":
            return
        record = self.own.get(change.agent_id)
        if record is not None and record.token == change.token:
            del self.own[change.agent_id]
            if self.insist and change.reason in ("expired", "died"):
                self._lost.append(record)

    def runtimes(self) -> set[str]:
        """The runtimes that have agents here."""
        return {record.runtime_id for record in self.own.values()}

    async def release(self) -> None:
        """Deregister all of them."""
        batch = [Delete(agent_id, record.token, "shutdown") for agent_id, record in self.own.items()]
        if batch:
            await self._follower.write(self._follower.backend.delete(batch))
        self.own.clear()

    async def enter_lost(self) -> None:
        """Register again those whom others took for dead while this process was slow."""
        if self._lost:
            lost, self._lost = self._lost, []
            await self._enter_again(lost)

    async def settle(self) -> None:
        """After a new listing: what the store has lost is registered again (it was restored, or failed over), and
        what it still has of this process, though nobody here holds it, is removed.
        """
        there, us = self._follower.replica.records, this_process()
        own = self.own.values()
        await self._enter_again([record for record in own if not _same(there.get(record.agent_id), record)])
        left = [record for record in there.values() if record.process is us and not _is_held(record)]
        if left:
            batch = [Delete(record.agent_id, record.token, "collected") for record in left]
            await self._follower.write(self._follower.backend.delete(batch))

    async def _enter_again(self, records: list[AgentMetadata]) -> None:
        if not records:
            return
        answer = await self._follower.backend.put([Put(record) for record in records])
        for record, holder in zip(records, answer.results, strict=True):
            if holder is None:
                self.own[record.agent_id] = record
            else:
                self.own.pop(record.agent_id, None)
                _log.warning("agent %r was lost here, and is %r's by now", record.agent_id, holder.runtime_id)
        await self._follower.pull()


def _is_held(record: AgentMetadata) -> bool:
    """Whether some directory of this process has registered *record*, or is about to."""
    return record.token in here or any(_same(each.own.get(record.agent_id), record) for each in list(_every))


def _same(there: AgentMetadata | None, record: AgentMetadata) -> bool:
    return there is not None and there.token == record.token
