"""The simple form's verbs, over a directory: one record for each running agent."""

from __future__ import annotations

import hmac
import os
import platform
import time
from typing import Any
from uuid import uuid4

import msgspec

from agentreg.extensions.coordination import AgentDirectory, AgentMetadata, AgentStatus
from agentreg.extensions.coordination.backend import Patch, Put
from agentreg.extensions.coordination.processes import Process, find_process
from agentreg.extensions.coordination.record import from_wire, to_wire
from agentreg.extensions.service.bodies import check_object, check_text
from agentreg.extensions.service.limits import Limits, Timing
from agentreg.extensions.service.minding import RUNTIME, Minder, is_local
from agentreg.extensions.service.refusals import Refusal, unavailable
from agentreg.extensions.service.rows import Rows
from agentreg.extensions.service.writing import Beats, Writes

__all__ = ["RUNTIME", "Registration", "Roster", "new_id", "new_token", "process_of"]

_MOST_PID = 2**32 - 1


class Registration(msgspec.Struct):
    """The body of ``POST /register``. What is null counts as left out."""

    name: str | None = None
    cwd: str | None = None
    pid: int | None = None
    host: str | None = None
    meta: dict[str, Any] | None = None
    id: str | None = None
    token: str | None = None


def new_id() -> str:
    """An id that nobody has."""
    return f"agent_{uuid4().hex[:16]}"


def new_token() -> str:
    """The secret name of a new registration."""
    return uuid4().hex


class Roster:
    """Who is there: registering, beating, stopping. For one event loop.

    Attributes:
        directory: Where the records are kept.
        rows: What ``GET /agents`` shows of them.
        minder: Judges who is stale, stopped, or forgotten.
        writes, beats: What is on its way to the store.
    """

    def __init__(self, directory: AgentDirectory, timing: Timing, limits: Limits) -> None:
        self.directory = directory
        self.agents = directory.agents
        self.limits = limits
        self.writes = Writes(directory)
        self.beats = Beats(directory)
        self.rows = Rows(directory)
        self.minder = Minder(directory, self.writes, timing)

    @property
    def trouble(self) -> Exception | None:
        """Why nothing can be promised just now: what was written last failed, or heartbeats wait."""
        return self.writes.trouble or self.beats.trouble

    def find(self, agent_id: str, token: str | None = None) -> AgentMetadata | None:
        """The record with this id, if there is one. A Refusal (409) when *token* is given, and another one's."""
        record = self.agents.get(agent_id)
        if record is not None and token is not None:
            _check_token(record, token)
        return record

    async def register(self, asked: Registration) -> AgentMetadata:
        """Enter what is asked for, in place of what has its id; the record, with a token of its own."""
        self._check(asked)
        agent_id = asked.id or new_id()
        while True:
            holder = self.find(agent_id, asked.token)
            record = _record(agent_id, asked, holder)
            replaced = None if holder is None else holder.token
            if await self.writes.do(Put(record, replaced)) is None:
                return record

    def _check(self, asked: Registration) -> None:
        for field, most in (("id", self.limits.name), ("name", self.limits.name), ("host", self.limits.name)):
            check_text(field, getattr(asked, field) or "", most)
        check_text("cwd", asked.cwd or "", self.limits.text)
        check_object("meta", asked.meta or {}, self.limits)

    def beat(self, record: AgentMetadata) -> None:
        """*record* is alive. A Refusal (503) while heartbeats can't be written."""
        if self.beats.trouble is not None:
            raise unavailable(self.beats.trouble)
        self.beats.note(record)

    async def revive(self, record: AgentMetadata) -> None:
        """*record*, which was stale, is not any more: it is again as it was."""
        before = record.lapsed_from or AgentStatus.ACTIVE
        await self.writes.do(Patch(record.agent_id, record.token, {"status": before.value, "lapsed_from": None}))

    async def stop(self, record: AgentMetadata) -> None:
        """*record* has said farewell."""
        fields = {"status": "offline", "lapsed_from": None, "worked": time.time()}
        await self.writes.do(Patch(record.agent_id, record.token, fields))

    async def close(self) -> None:
        """Write what waits."""
        await self.minder.close()
        await self.writes.close()
        await self.beats.close()


def _check_token(record: AgentMetadata, token: str) -> None:
    if not _same(record.token, token):
        raise Refusal(
            409,
            f"agent {record.agent_id!r} is another registration's by now: the token is not its token; "
            "register anew to go on under this id, or leave the token out",
            "/token",
        )


def _same(known: str, shown: str) -> bool:
    return hmac.compare_digest(known.encode(), shown.encode())


def _record(agent_id: str, asked: Registration, holder: AgentMetadata | None) -> AgentMetadata:
    """What is asked for as a record; what it does not speak of stays as the *holder* of its id had it."""
    now = time.time()
    wire = {"created": now} if holder is None else {**to_wire(holder), "created": holder.created or holder.registered}
    wire |= {
        "agent_id": agent_id,
        "runtime_id": RUNTIME if holder is None else holder.runtime_id,
        "token": new_token(),
        "status": "active",
        "lapsed_from": None,
        "modified": None,
        "registered": now,
        "name": asked.name or "agent",
        "metadata": asked.meta or {},
    }
    record = from_wire(wire)
    record.process = process_of(asked.pid, asked.host, asked.cwd)
    return record


def process_of(pid: int | None, host: str | None, cwd: str | None) -> Process:
    """The process that an agent says it runs in, with the moment of its start if it is one of this machine's."""
    pid, host, cwd = pid or 0, host or "", cwd or ""
    if not 0 <= pid <= _MOST_PID:
        raise Refusal(400, f"pid: expected a whole number from 0 to {_MOST_PID} (0: none), got {pid}", "/pid")
    if pid and pid != os.getpid() and is_local(host):  # what is this process' own, its directory takes care of
        return find_process(pid, host, cwd)
    return Process(host or platform.node(), pid, 0, "", cwd)
