"""Registering, changing and removing records of the full form."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol

import msgspec

from agentreg.extensions.coordination import AgentMetadata, AgentStatus
from agentreg.extensions.coordination.backend import Delete, Patch, Put
from agentreg.extensions.coordination.record import from_wire
from agentreg.extensions.service.bodies import misshapen
from agentreg.extensions.service.full.shape import OBJECTS, Draft, active_tasks, check, full, status_of
from agentreg.extensions.service.full.turns import Turns
from agentreg.extensions.service.refusals import Refusal
from agentreg.extensions.service.roster import RUNTIME, Roster, new_id, new_token, process_of

__all__ = ["Changing", "Overseer", "merged", "with_allocation"]

_TEXTS = ("name", "file_path", "version", "endpoint")
_READ_ONLY = frozenset(("created_at", "last_modified", "health", "revision", "runtime_id", "last_heartbeat"))
_IDENTITY = ("agent_id", "host", "pid", "cwd")


class Overseer(Protocol):
    """Who registers and removes records with all that belongs to it: memory, conflicts, what was decided."""

    def check(self, config: Mapping[str, Any], resources: Mapping[str, Any]) -> None:
        """Refuse what a record can't ask for. A Refusal."""

    async def register(self, record: AgentMetadata) -> AgentMetadata:
        """Enter it. A Refusal."""

    async def leave(self, record: AgentMetadata, force: bool, migrate: bool) -> str | None:
        """Remove it; the id of the agent that its tasks were handed to. A Refusal."""

    async def statistics(self, records: Sequence[AgentMetadata]) -> dict[str, Any]:
        """The registry in figures."""


class Changing:
    """Carries out what changes records; a record's in turn, so that conditions hold until they are acted upon.

    Args:
        roster: The records.
        overseer: Who registers and removes them; None: they are entered and removed, and no more.
    """

    def __init__(self, roster: Roster, overseer: Overseer | None = None) -> None:
        self._roster = roster
        self._overseer = overseer
        self._turns = Turns()

    def find(self, agent_id: str) -> AgentMetadata:
        """The record with this id; a Refusal (404) if there is none."""
        record = self._roster.find(agent_id)
        if record is None:
            raise Refusal(404, f"there is no agent {agent_id[:80]!r}")
        return record

    async def register(self, draft: Draft) -> AgentMetadata:
        """Enter a new record."""
        check(draft, self._roster.limits)
        if draft.status == "offline":
            raise Refusal(400, "status: one that registers is not offline", "/status")
        record = _record(draft)
        if self._overseer is not None:
            return self._as_entered(await self._overseer.register(record))
        holder = await self._roster.writes.do(Put(record))
        if holder is not None:
            detail = f"agent id {record.agent_id!r} is taken; PUT /registry/agents/{record.agent_id} changes that one"
            raise Refusal(409, detail, "/agent_id")
        return self._as_entered(record)

    def _as_entered(self, record: AgentMetadata) -> AgentMetadata:
        """*record* with the revision that it has got, unless another has its id by now."""
        there = self._roster.find(record.agent_id)
        return record if there is None or there.token != record.token else there

    async def change(self, agent_id: str, patch: Mapping[str, Any], revision: int | None) -> AgentMetadata:
        """Apply a merge *patch* (RFC 7396); if a *revision* is given, only to the record that has it."""
        async with self._turns.of(agent_id):
            record = self.find(agent_id)
            if revision is not None and record.revision != revision:
                detail = f"agent {agent_id!r} is at revision {record.revision}, not {revision}; get it, and try again"
                raise Refusal(412, detail, revision=record.revision)
            fields = self._fields(record, patch)
            self._roster.beat(record)
            if not await self._roster.writes.do(Patch(agent_id, record.token, fields)):
                raise Refusal(409, f"agent {agent_id!r} was registered anew meanwhile; get it, and try again")
            return self.find(agent_id)

    def _fields(self, record: AgentMetadata, patch: Mapping[str, Any]) -> dict[str, Any]:
        _check_names(record, patch)
        draft = _drafted(record, patch)
        check(draft, self._roster.limits)
        fields: dict[str, Any] = {field: getattr(draft, field) for field in (*_TEXTS, *OBJECTS) if field in patch}
        if "capabilities" in patch:
            fields["capabilities"] = draft.capabilities
        if self._overseer is not None:
            if "config" in patch:
                self._overseer.check(draft.config, draft.resources)
            if "resources" in fields:
                fields["resources"] = with_allocation(draft.resources, record.resources.get("allocation"))
        worked = _seconds("last_activity", None if patch.get("last_activity") is None else draft.last_activity)
        return fields | _status_fields(record, draft.status) | {"worked": worked, "modified": time.time()}

    async def remove(self, agent_id: str, force: bool, migrate: bool) -> str | None:
        """Remove a record; the id of the agent that its tasks were handed to, if they were.

        One that has tasks is removed by *force* only, or if another can take them.
        """
        async with self._turns.of_several() if migrate else contextlib.nullcontext(), self._turns.of(agent_id):
            record = self.find(agent_id)
            if self._overseer is not None:
                return await self._overseer.leave(record, force, migrate)
            heir = await self.hand_over(record) if migrate else None
            tasks = active_tasks(record)
            if tasks and heir is None and not force:
                raise Refusal(409, _busy(agent_id, tasks, migrate))
            await self._roster.writes.do(Delete(agent_id, record.token))
            return heir

    async def hand_over(self, record: AgentMetadata) -> str | None:
        """The id of the agent that has *record*'s tasks now; None if there are none, or nobody can take them."""
        tasks = active_tasks(record)
        while tasks and (heir := self.heir(record)) is not None:
            async with self._turns.of(heir.agent_id):
                if self._roster.find(heir.agent_id) is not heir or not _can_follow(heir, record):
                    continue
                resources = {**heir.resources, "active_tasks": active_tasks(heir) + tasks}
                if await self._roster.writes.do(Patch(heir.agent_id, heir.token, {"resources": resources})):
                    return heir.agent_id
        return None

    async def take_back(self, agent_id: str, tasks: int) -> None:
        """Take so many tasks from an agent again, if it is still there."""
        async with self._turns.of(agent_id):
            heir = self._roster.find(agent_id)
            if heir is not None:
                resources = {**heir.resources, "active_tasks": max(active_tasks(heir) - tasks, 0)}
                await self._roster.writes.do(Patch(agent_id, heir.token, {"resources": resources}))

    async def set_allocation(self, agent_id: str, allocation: Mapping[str, Any] | None) -> None:
        """Have a record show its agent's share of memory, unless it does, or is not there."""
        async with self._turns.of(agent_id):
            record = self._roster.find(agent_id)
            if record is not None and record.resources.get("allocation") != allocation:
                fields = {"resources": with_allocation(record.resources, allocation)}
                await self._roster.writes.do(Patch(agent_id, record.token, fields))

    def heir(self, leaver: AgentMetadata) -> AgentMetadata | None:
        """The least busy agent that can do what *leaver* can."""
        able = [each for each in map(self._roster.find, self._roster.agents) if each and _can_follow(each, leaver)]
        return min(able, key=active_tasks, default=None)


def with_allocation(resources: Mapping[str, Any], allocation: Any) -> dict[str, Any]:
    """*resources* with the share of memory that their agent has; None: without any.

    >>> with_allocation({"active_tasks": 2}, {"state": "granted"})
    {'active_tasks': 2, 'allocation': {'state': 'granted'}}
    """
    rest = {name: value for name, value in resources.items() if name != "allocation"}
    return rest if allocation is None else {**rest, "allocation": allocation}


def _can_follow(record: AgentMetadata, leaver: AgentMetadata) -> bool:
    return (
        record.agent_id != leaver.agent_id
        and status_of(record) in ("active", "idle")
        and set(record.capabilities) >= set(leaver.capabilities)
        and set(record.config.get("tools") or ()) >= set(leaver.config.get("tools") or ())
        and record.config.get("specialization") == leaver.config.get("specialization")
    )


def _busy(agent_id: str, tasks: int, migrate: bool) -> str:
    if migrate:
        return f"agent {agent_id!r} has {tasks} active tasks, and no other agent can take them; force=true drops them"
    return f"agent {agent_id!r} has {tasks} active tasks; migrate_tasks=true hands them over, force=true drops them"


def _record(draft: Draft) -> AgentMetadata:
    now = time.time()
    wire: dict[str, Any] = {field: getattr(draft, field) for field in (*_TEXTS, *OBJECTS)}
    wire |= {
        "agent_id": draft.agent_id or new_id(),
        "runtime_id": RUNTIME,
        "token": new_token(),
        "capabilities": draft.capabilities,
        "registered": now,
        "created": _seconds("created_at", draft.created_at),
        "worked": _seconds("last_activity", draft.last_activity),
        "work_state": draft.status or "active",
    }
    record = from_wire(wire)
    record.process = process_of(draft.pid, draft.host, draft.cwd)
    return record


def _seconds(field: str, moment: datetime | None) -> float:
    """*moment* since 1970. A Refusal for one outside the years 1 to 9999 of UTC, which no answer could show."""
    if moment is None:
        return time.time()
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    try:
        datetime.fromtimestamp(seconds, timezone.utc)
    except (ValueError, OverflowError, OSError):
        detail = f"{field}: expected a time of the years 1 to 9999 in UTC, got {moment.isoformat()}"
        raise Refusal(400, detail, f"/{field}") from None
    return seconds


def _check_names(record: AgentMetadata, patch: Mapping[str, Any]) -> None:
    """A whole record may be sent back, but not as another's."""
    known = {*_TEXTS, *OBJECTS, "capabilities", "status", "last_activity", *_READ_ONLY, *_IDENTITY}
    for field in patch:
        if field not in known:
            raise Refusal(400, f"{field}: no such field; there are {', '.join(sorted(known))}", f"/{field}")
    shown = full(record)
    for field in _IDENTITY:
        if field in patch and patch[field] != shown[field]:
            detail = f"{field}: is {shown[field]!r} as long as this registration lasts, and can't become another"
            raise Refusal(400, detail, f"/{field}")


def _drafted(record: AgentMetadata, patch: Mapping[str, Any]) -> Draft:
    """The record as it would be, checked for its types."""
    there = {field: getattr(record, field) for field in _TEXTS} | {"capabilities": list(record.capabilities)}
    there |= {field: dict(getattr(record, field)) for field in OBJECTS}
    if "name" in patch and patch["name"] is None:
        raise Refusal(400, "name: every record has one; expected another name, got null", "/name")
    sent = {field: value for field, value in patch.items() if field not in _READ_ONLY and field not in _IDENTITY}
    wanted = merged(there, sent)
    try:
        return msgspec.convert(wanted, Draft)
    except msgspec.ValidationError as error:
        raise misshapen(error) from None


def merged(target: Any, patch: Any) -> Any:
    """*target* with the merge patch applied, as RFC 7396 has it.

    >>> merged({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}})
    {'b': {'c': 2, 'd': 3}}
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _status_fields(record: AgentMetadata, status: str | None) -> dict[str, Any]:
    if status is None:
        well = record.lapsed_from or AgentStatus.ACTIVE
        return {"status": well.value, "lapsed_from": None} if record.status is AgentStatus.UNHEALTHY else {}
    if status == "offline":
        return {"status": "offline", "lapsed_from": None}
    well = record.status if record.status is AgentStatus.DEGRADED else AgentStatus.ACTIVE
    return {"status": well.value, "lapsed_from": None, "work_state": status}
