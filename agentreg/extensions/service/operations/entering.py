"""Registrations of the full form: one pipeline over the directory, undone as a whole where a step fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from agentreg import NameTakenError
from agentreg.extensions.coordination import AgentMetadata, AgentStatus
from agentreg.extensions.coordination.backend import Delete, Put
from agentreg.extensions.coordination.record import from_wire, to_wire
from agentreg.extensions.resources import (
    AgentRequest,
    ConflictContext,
    ConflictPolicies,
    ConflictRefusedError,
    ConflictResolver,
    Enrolment,
    Notice,
    PipelineError,
    RegistrationPipeline,
    Run,
    Step,
)
from agentreg.extensions.service.full.changing import with_allocation
from agentreg.extensions.service.operations.config import UNIQUE_NAMES, OperationsConfig
from agentreg.extensions.service.operations.deciding import LateLog
from agentreg.extensions.service.operations.monitor import Clocks
from agentreg.extensions.service.operations.refusing import refusal_of
from agentreg.extensions.service.operations.shares import Place, Shares, Wish
from agentreg.extensions.service.refusals import Refusal
from agentreg.extensions.service.roster import Roster

__all__ = ["UNIQUE_NAME", "DirectoryEntering", "Entrance", "RecordToken"]

_log = logging.getLogger(__name__)
UNIQUE_NAME = "validate_unique_name"  #: the step that sees to names which may not repeat
_TRIES = 20  # names that are tried, where others are quicker


class RecordToken(NamedTuple):
    """One registration of a record.

    Attributes:
        agent_id: The record's id.
        token: The registration's token.
    """

    agent_id: str
    token: str


@dataclass
class _Entry:
    """A record on its way in.

    Attributes:
        record: As it is to be entered.
        claimed: Names that are kept for it until then.
    """

    record: AgentMetadata
    claimed: set[str] = field(default_factory=set)


def _entry(request: AgentRequest) -> _Entry:
    entry: _Entry = request.metadata["entry"]
    return entry


def changed(record: AgentMetadata, **fields: Any) -> AgentMetadata:
    """A copy of *record* with other *fields*, which nobody has entered yet."""
    copy = from_wire({**to_wire(record), **fields})
    copy.process = record.process
    return copy


class DirectoryEntering:
    """Where a pipeline enters records, and removes them: the directory of a service. For one event loop."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def enter(self, request: AgentRequest) -> RecordToken:
        """Enter the record of the request. Raises NameTakenError if its id is another's."""
        record = _entry(request).record
        holder = await self._roster.writes.do(Put(record))
        if holder is not None:
            raise NameTakenError(record.agent_id, "another registration")
        return RecordToken(record.agent_id, record.token)

    async def remove(self, token: RecordToken) -> AgentMetadata | None:
        """Remove this very registration; its record, or None if it is not there any more."""
        record = self._roster.find(token.agent_id)
        if record is None or record.token != token.token:
            return None
        await self._roster.writes.do(Delete(*token))
        return record

    def find(self, name: str) -> RecordToken | None:
        """The registration that has an id now."""
        record = self._roster.find(name)
        return None if record is None else RecordToken(name, record.token)

    async def restore(self, token: RecordToken, removed: AgentMetadata) -> RecordToken:
        """Enter again what was removed. Raises NameTakenError."""
        if await self._roster.writes.do(Put(changed(removed))) is not None:
            raise NameTakenError(token.agent_id, "another registration")
        return token


class Entrance:
    """Registers records. For one event loop.

    Args:
        config: Whether names may repeat, and what is done about conflicts.
        roster: The records.
        shares: Who gives memory.
        log: Where what was decided is kept.
        monitor: Called with an id that has entered; what it returns is called when that leaves.
        notify: Called with a notice of each registration; if it raises, that is undone.
        clocks: The time.

    Attributes:
        pipeline: The steps.
        resolvers: Who resolves conflicts: of ids and resources, of names.
    """

    def __init__(
        self,
        config: OperationsConfig,
        roster: Roster,
        shares: Shares,
        log: LateLog,
        monitor: Callable[[str], Callable[[], object]],
        notify: Callable[[Notice], Any],
        clocks: Clocks,
    ) -> None:
        policies = config.policies or ConflictPolicies()
        self._roster = roster
        self._shares = shares
        self._log = log
        self._claims: set[str] = set()
        self._has_tool_policy = policies.allowed_tools is not None or bool(tuple(policies.denied_tools))
        ids = ConflictResolver(replace(policies, name="refuse"), log, clock=clocks.monotonic, wall_clock=clocks.wall)
        self.resolvers = [ids]
        self.pipeline = RegistrationPipeline(
            DirectoryEntering(roster),
            ids,
            ConflictContext(),
            resources=shares,
            notify=notify,
            monitor=lambda request: monitor(request.name),
        )
        self.pipeline = self.pipeline.before("enter", Step("prepare_record", self._prepare))
        if config.unique_names is not None:
            strategy = UNIQUE_NAMES[config.unique_names]
            names = ConflictResolver(
                replace(policies, name=strategy), log, clock=clocks.monotonic, wall_clock=clocks.wall
            )
            self.resolvers.append(names)
            step = Step(UNIQUE_NAME, lambda run: self._find_name(run, names))
            self.pipeline = self.pipeline.after("validate_name", step)

    async def register(self, record: AgentMetadata) -> AgentMetadata:
        """Enter *record*, with everything that belongs to it. A Refusal that names the step that failed."""
        entry = _Entry(record)
        request = self._request(entry, self._shares.asked(record.config, record.resources))
        self._log.names[record.agent_id] = record.name
        try:
            await self.pipeline.run(request)
        except PipelineError as error:
            raise refusal_of(error, record.agent_id) from error
        finally:
            self._claims -= entry.claimed
            self._log.names.pop(record.agent_id, None)
        return entry.record

    def know(self, record: AgentMetadata) -> None:
        """A record that was there before has its share, too."""
        try:
            request = self._request(_Entry(record), self._shares.asked(record.config, record.resources))
        except Refusal:
            return
        token = RecordToken(record.agent_id, record.token)
        place = Place(self._shares, record.agent_id)
        self.pipeline.enrolments[record.agent_id] = Enrolment(request, token, share=place)

    def _request(self, entry: _Entry, wish: Wish | None) -> AgentRequest:
        record = entry.record
        options: dict[str, Any] = {"metadata": {"entry": entry}}
        if wish is not None:
            options |= {"memory": wish.memory, "priority": wish.priority, "tasks": wish.tasks}
        tools = record.config.get("tools")
        if self._has_tool_policy and tools:
            options["tools"] = tools
        try:
            return AgentRequest(record.agent_id, **options)
        except (TypeError, ValueError) as error:
            raise Refusal(400, f"agent_id, or config.tools: {error}", "/agent_id") from None

    # -- steps of its own ---------------------------------------------------------

    def _prepare(self, run: Run) -> str:
        """Put into the record what was decided on the way."""
        request: AgentRequest = run.request
        entry = _entry(request)
        record, fields = entry.record, dict[str, Any]()
        if self._has_tool_policy and request.tools is not None:
            fields["config"] = {**record.config, "tools": list(request.tools)}
        allocation = self._shares.allocation(record.agent_id)
        if allocation is not None or "allocation" in record.resources:  # it is not for callers to say
            fields["resources"] = with_allocation(record.resources, allocation)
        if fields:
            entry.record = changed(record, **fields)
        return "as it was sent" if allocation is None else f"its memory is {allocation['state']}"

    async def _find_name(self, run: Run, resolver: ConflictResolver) -> str:
        """See to it that nobody else has the name, or have the resolver find another; claim it for this run."""
        entry = _entry(run.request)
        record = entry.record
        for _ in range(_TRIES):
            asked = AgentRequest(record.name)
            context = ConflictContext(taken=self._is_taken)
            name = (await resolver.resolve(asked, context, ("name",)).settled()).accepted().name
            if not self._is_taken(name):  # whoever was asked may have taken their time
                self._claims.add(name)
                entry.claimed.add(name)
                entry.record = record if name == record.name else changed(record, name=name)
                self._log.names[record.agent_id] = name
                return str(name)
        raise ConflictRefusedError("name", record.name, f"{_TRIES} names that were tried were all taken")

    def _is_taken(self, name: str) -> bool:
        if name in self._claims:
            return True
        records = self._roster.directory.records()
        return any(each.name == name and each.status is not AgentStatus.OFFLINE for each in records)
