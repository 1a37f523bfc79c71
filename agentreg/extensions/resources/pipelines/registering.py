"""What each step of a registration does, and how it is undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from agentreg.extensions.resources.conflicts import (
    AgentRequest,
    ConflictContext,
    ConflictKind,
    ConflictRefusedError,
    ConflictResolver,
    ResourceOffice,
)
from agentreg.extensions.resources.pipelines.enrolment import (
    Connections,
    Enrolment,
    Lease,
    Notice,
    errors_of,
    let_go_of,
)
from agentreg.extensions.resources.pipelines.entering import Entering
from agentreg.extensions.resources.pipelines.performing import called, uninterrupted
from agentreg.extensions.resources.pipelines.step import Run, Skipped

__all__ = ["Registering"]

ROUNDS = 20  # how often a name may turn out to be taken after all, within one run


@dataclass
class Registering:
    """The parts that a registration needs, and what its steps do with them."""

    entering: Entering
    resolver: ConflictResolver
    context: ConflictContext
    connections: Connections | None
    resources: ResourceOffice | None
    notify: Callable[[Notice], Any] | None
    monitor: Callable[[AgentRequest], Any] | None
    watch: Callable[[AgentRequest], Any] | None
    enrolments: dict[str, Enrolment]
    claims: dict[str, Run] = field(default_factory=dict)  # names of runs under way

    # -- conflicts ----------------------------------------------------------

    async def validate_name(self, run: Run) -> str:
        """See to it that the name is free, or have the resolver find another; claim it for this run."""
        found: set[str] = set(run.values.get("lost", ()))
        for _ in range(ROUNDS):
            name = run.request.name
            if name in self.claims or await self._is_held(run.request):
                found.add(name)
            await self._resolve(run, ("name",), taken=lambda name: name in found or name in self.claims)
            if run.request.name == name and name not in self.claims:  # whoever was asked may have taken their time
                self.claims[name] = run
                await self._clear(name)
                return str(name)
        raise ConflictRefusedError("name", run.request.name, f"{ROUNDS} names that were tried were all taken")

    async def check_resources(self, run: Run) -> str:
        """See to it that there is memory, and room at the MCP servers, or that it may wait for them."""
        return await self._resolve(run, ("resources", "mcp"))

    async def verify_tools(self, run: Run) -> str:
        """See to it that its tools are allowed."""
        return await self._resolve(run, ("tools",))

    async def _resolve(
        self, run: Run, kinds: tuple[ConflictKind, ...], taken: Callable[[str], bool] | None = None
    ) -> str:
        context = self.context if taken is None else replace(self.context, taken=taken)
        resolution = await self.resolver.resolve(run.request, context, kinds).settled()
        run.request = resolution.accepted()
        return "; ".join(str(decision.reason) for decision in resolution.decisions if decision.choice != "pending")

    async def _is_held(self, request: AgentRequest) -> bool:
        """Whether somebody else has the name, or this very agent is enrolled under it already."""
        token = await called(self.entering.find, request.name)
        if token is None:
            return False
        own = request.agent is not None and getattr(token, "agent", None) is request.agent
        enrolled = self.enrolments.get(request.name)
        return not own or (enrolled is not None and enrolled.token == token)

    async def _clear(self, name: str) -> None:
        """Let go of what an agent has left behind that had the name, and was never deregistered."""
        left = self.enrolments.pop(name, None)
        if left is not None:
            await uninterrupted(let_go_of(left))

    # -- connections and memory ---------------------------------------------

    async def connect(self, run: Run) -> str | Skipped:
        """Connect it to its servers; all of them, but for optional ones that can't be reached."""
        if self.connections is None or not run.request.mcp_servers:
            return Skipped("it needs no MCP server" if self.connections else "nothing was set up for it")
        missing: list[str] = []
        leases: list[Lease] = []
        try:
            for server in sorted(run.request.mcp_servers):  # in one order: two agents never wait for one another
                await self._connect_to(server, run.request, leases, missing)
        except BaseException:
            await uninterrupted(errors_of([lease.release for lease in reversed(leases)]))
            raise
        enrolment_of(run).leases += leases
        if missing:
            _drop_servers(run, missing)
        return f"without {', '.join(missing)}, which are optional and can't be reached" if missing else ""

    async def _connect_to(self, server: str, request: AgentRequest, leases: list[Lease], missing: list[str]) -> None:
        assert self.connections is not None
        try:
            leases.append(await self.connections.acquire(server, request.name))
        except Exception:
            if server not in request.optional_mcp_servers:
                raise
            missing.append(server)

    async def disconnect(self, run: Run) -> None:
        """Give back its connections."""
        enrolment = enrolment_of(run)
        leases, enrolment.leases = enrolment.leases, []
        errors, _ = await uninterrupted(errors_of([lease.release for lease in reversed(leases)]))
        if errors:
            raise errors[0]

    async def allocate(self, run: Run) -> str | Skipped:
        """Get its share of memory, waiting in the queue if need be."""
        request: AgentRequest = run.request
        if self.resources is None or request.memory is None:
            return Skipped("it asks for no memory" if self.resources else "nothing was set up for it")
        share = self.resources.allocate(
            request.name, memory=request.memory, priority=request.priority, tasks=request.tasks
        )
        try:
            await share.ready()
            if not share.granted:
                raise ConflictRefusedError("resources", request.name, "its share was taken back while it waited")
        except BaseException:
            share.cancel()
            raise
        enrolment_of(run).share = share
        return f"{request.memory} of memory"

    def release(self, run: Run) -> None:
        """Give back its share of memory."""
        enrolment = enrolment_of(run)
        share, enrolment.share = enrolment.share, None
        if share is not None:
            share.cancel()

    # -- entering, and what follows -----------------------------------------

    async def enter(self, run: Run) -> str:
        """Enter it, and keep the token."""
        enrolment_of(run).token = await called(self.entering.enter, run.request)
        return f"as {run.request.name!r}"

    async def remove(self, run: Run) -> None:
        """Remove the very registration that was entered."""
        await called(self.entering.remove, enrolment_of(run).token)

    async def tell(self, run: Run) -> None:
        """Tell others that it is registered."""
        await self._tell("registered", run)

    async def tell_otherwise(self, run: Run) -> None:
        """Tell those who were told that it is not: a notice can't be taken back."""
        await self._tell("withdrawn", run)

    async def _tell(self, kind: Any, run: Run) -> None:
        assert self.notify is not None
        request = replace(run.request, agent=None)
        reason = "" if kind == "registered" else "a later step of its registration failed"
        await called(self.notify, Notice(kind, request.name, reason, request))

    def begins(self, step: str, start: Callable[[AgentRequest], Any]) -> Callable[[Run], Any]:
        """A step that starts something, and keeps what ends it."""

        async def begin(run: Run) -> None:
            stop = await called(start, run.request)
            if callable(stop):
                enrolment_of(run).stops[step] = stop

        return begin

    def ends(self, step: str) -> Callable[[Run], Any]:
        """The undo of such a step."""

        async def end(run: Run) -> None:
            stop = enrolment_of(run).stops.pop(step, None)
            if stop is not None:
                await called(stop)

        return end

    async def watch_file(self, run: Run) -> Any:
        """Have its file watched, if it has one."""
        if run.request.file_path is None:
            return Skipped("it has no file")
        assert self.watch is not None
        return await self.begins("watch_file", self.watch)(run)


def enrolment_of(run: Run) -> Enrolment:
    """What the agent of this run has been given."""
    enrolment: Enrolment = run.values["enrolment"]
    return enrolment


def _drop_servers(run: Run, missing: list[str]) -> None:
    request: AgentRequest = run.request
    run.request = request.changed(
        mcp_servers=[server for server in request.mcp_servers if server not in missing],
        optional_mcp_servers=[server for server in request.optional_mcp_servers if server not in missing],
    )
