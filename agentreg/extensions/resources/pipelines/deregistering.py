"""What each step of a deregistration does, and how it is undone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentreg import AgentNotFoundError
from agentreg.extensions.resources.conflicts import ResourceOffice
from agentreg.extensions.resources.pipelines.enrolment import Connections, Enrolment, Notice, errors_of
from agentreg.extensions.resources.pipelines.entering import Entering
from agentreg.extensions.resources.pipelines.errors import TasksActiveError
from agentreg.extensions.resources.pipelines.performing import called, uninterrupted
from agentreg.extensions.resources.pipelines.step import Run, Skipped
from agentreg.extensions.resources.pipelines.tasks import Chooser, TaskDesk, least_busy

__all__ = ["Deregistering", "DeregistrationRequest"]


@dataclass(frozen=True)
class DeregistrationRequest:
    """Who is to leave, and how.

    Attributes:
        name: The agent's name.
        force: Whether tasks that are left are ended at once.
        migrate_tasks: Whether they go to others: True for whoever is least busy, a name, or a function of the agent's
            name and the task that returns a name, or None to keep the task.
        reason: Why, for whoever is told.
        token: The registration that is meant; None for whichever has the name.
    """

    name: str
    force: bool = False
    migrate_tasks: bool | str | Chooser = False
    reason: str = "deregistered"
    token: Any = None


@dataclass
class Deregistering:
    """The parts that a deregistration needs, and what its steps do with them."""

    entering: Entering
    enrolments: dict[str, Enrolment]
    desk: TaskDesk | None
    connections: Connections | None
    resources: ResourceOffice | None
    notify: Callable[[Notice], Any] | None
    clean: Callable[[str], Any] | None
    update_dependents: Callable[[str, dict[str, list[Any]]], Any] | None
    grace: float

    # -- who leaves, and its tasks ------------------------------------------

    async def exists(self, run: Run) -> None:
        """Find the registration that is meant."""
        request: DeregistrationRequest = run.request
        token = await called(self.entering.find, request.name)
        if token is None or (request.token is not None and request.token != token):
            raise AgentNotFoundError(request.name)
        run.values["token"] = token
        enrolled = self.enrolments.get(request.name)
        if enrolled is not None and enrolled.token == token:
            run.values["enrolment"] = enrolled

    async def look_at_tasks(self, run: Run) -> str:
        """See that it gets no new tasks, and which it has."""
        assert self.desk is not None
        await called(self.desk.pause, run.request.name)
        try:
            active = list(await called(self.desk.active, run.request.name))
        except BaseException:
            await uninterrupted(self.resume(run))
            raise
        return f"{len(active)} active"

    async def resume(self, run: Run) -> None:
        """Have it given tasks again."""
        assert self.desk is not None
        await called(self.desk.resume, run.request.name)

    async def end_tasks(self, run: Run) -> str:
        """Give its tasks to others, or wait until they have ended, or end them."""
        assert self.desk is not None
        request: DeregistrationRequest = run.request
        moved = run.values["moved"] = []
        try:
            if request.migrate_tasks is not False:
                await self._migrate(request, moved)
            left = len(list(await called(self.desk.active, request.name)))
            if left and request.force:
                await called(self.desk.end, request.name)
            elif left:
                await self._drain(request.name)
        except BaseException:
            await uninterrupted(self.move_back(run))
            raise
        return f"{len(moved)} given to others" + (f", {left} {'ended' if request.force else 'waited for'}" * bool(left))

    async def move_back(self, run: Run) -> None:
        """Give back the tasks that others were given; those that were ended stay ended."""
        assert self.desk is not None
        name, moved, desk = run.request.name, run.values["moved"], self.desk
        errors = await errors_of([lambda t=task, to=to: desk.move(t, to, name) for task, to in reversed(moved)])  # type: ignore[misc]
        moved.clear()
        if errors:
            raise errors[0]

    async def _migrate(self, request: DeregistrationRequest, moved: list[tuple[Any, str]]) -> None:
        assert self.desk is not None
        for task in list(await called(self.desk.active, request.name)):
            to = await self._choose(request, task)
            if to is not None:
                await called(self.desk.move, task, request.name, to)
                moved.append((task, to))

    async def _choose(self, request: DeregistrationRequest, task: Any) -> str | None:
        assert self.desk is not None
        if isinstance(request.migrate_tasks, str):
            return request.migrate_tasks
        if callable(request.migrate_tasks):
            chosen: str | None = await called(request.migrate_tasks, request.name, task)
            return chosen
        loads = await called(self.desk.candidates, request.name, task)
        return least_busy({name: load for name, load in loads.items() if name != request.name})

    async def _drain(self, name: str) -> None:
        assert self.desk is not None
        waiting = asyncio.ensure_future(called(self.desk.drained, name))
        try:
            await asyncio.wait([waiting], timeout=self.grace)
            if waiting.done():
                waiting.result()
        finally:
            waiting.cancel()
            await asyncio.wait([waiting])
        left = len(list(await called(self.desk.active, name)))
        if left:
            raise TasksActiveError(name, left, self.grace)

    # -- what it was given --------------------------------------------------

    async def disconnect(self, run: Run) -> str | Skipped:
        """Give back its connections."""
        enrolment: Enrolment | None = run.values.get("enrolment")
        if enrolment is None or not enrolment.leases:
            return Skipped("it has no connections")
        leases, enrolment.leases = enrolment.leases, []
        run.values["servers"] = [lease.server for lease in leases]
        # all or none: a cancellation meanwhile is known to the pipeline, which undoes this step as a whole
        errors, _ = await uninterrupted(errors_of([lease.release for lease in leases]))
        return f"{len(leases)} given back" + (f", of which {len(errors)} failed to close" if errors else "")

    async def reconnect(self, run: Run) -> None:
        """Connect it again, to the same servers."""
        if self.connections is None:
            raise RuntimeError("its connections can't be made again: the pipeline was given no connections=")
        enrolment: Enrolment = run.values["enrolment"]
        if "gone" in run.values:
            return
        for server in sorted(run.values["servers"]):
            enrolment.leases.append(await self.connections.acquire(server, run.request.name))

    def release(self, run: Run) -> str | Skipped:
        """Give back its share of memory."""
        enrolment: Enrolment | None = run.values.get("enrolment")
        if enrolment is None or enrolment.share is None:
            return Skipped("it has no share")
        share, enrolment.share = enrolment.share, None
        share.cancel()
        return f"{enrolment.request.memory} of memory"

    async def allocate_again(self, run: Run) -> None:
        """Get its share of memory again."""
        if self.resources is None:
            raise RuntimeError("its share can't be allocated again: the pipeline was given no resources=")
        enrolment: Enrolment = run.values["enrolment"]
        asked = enrolment.request
        if "gone" in run.values:
            return
        share = self.resources.allocate(asked.name, memory=asked.memory, priority=asked.priority, tasks=asked.tasks)
        try:
            await share.ready()
        except BaseException:
            share.cancel()
            raise
        enrolment.share = share

    # -- leaving ------------------------------------------------------------

    async def remove(self, run: Run) -> str:
        """Remove the registration that was found, and no other."""
        removed = await called(self.entering.remove, run.values["token"])
        run.values["removed" if removed else "gone"] = removed
        return "" if removed else "it had left by itself meanwhile"

    async def restore(self, run: Run) -> None:
        """Enter it again."""
        if "gone" in run.values:
            return
        token = await called(self.entering.restore, run.values["token"], run.values.pop("removed"))
        if "enrolment" in run.values:
            run.values["enrolment"].token = token

    async def tell(self, run: Run) -> None:
        """Tell others that it has left."""
        assert self.notify is not None
        enrolment: Enrolment | None = run.values.get("enrolment")
        about = None if enrolment is None else enrolment.request
        await called(self.notify, Notice("deregistered", run.request.name, run.request.reason, about))

    async def tidy(self, run: Run) -> None:
        """End its monitoring and the watching of its file, and forget it."""
        enrolment: Enrolment | None = run.values.get("enrolment")
        calls: list[Callable[[], Any]] = []
        if enrolment is not None:
            stops, enrolment.stops = enrolment.stops, {}
            calls += reversed(stops.values())
            if self.enrolments.get(run.request.name) is enrolment:
                del self.enrolments[run.request.name]
        clean, name = self.clean, run.request.name
        if clean is not None:
            calls.append(lambda: clean(name))
        errors = await errors_of(calls)
        if errors:
            raise errors[0]

    async def tell_dependents(self, run: Run) -> None:
        """Tell those who depend on it, with who was given its tasks."""
        assert self.update_dependents is not None
        given: dict[str, list[Any]] = {}
        for task, to in run.values.get("moved", ()):
            given.setdefault(to, []).append(task)
        await called(self.update_dependents, run.request.name, given)
