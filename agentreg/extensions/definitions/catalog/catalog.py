"""Catalog: definitions from many sources, one of each name."""

from __future__ import annotations

import asyncio
import difflib
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agentreg import NameTakenError
from agentreg.extensions.definitions.catalog.announcing import Announcements, Listener, Subscription
from agentreg.extensions.definitions.catalog.changes import (
    DefinitionChange,
    DefinitionMoved,
    DefinitionRegistered,
    DefinitionUpdated,
)
from agentreg.extensions.definitions.catalog.checks import Checks
from agentreg.extensions.definitions.catalog.holding import Held, SourceStatus
from agentreg.extensions.definitions.catalog.snapshot import Shadowed, Snapshot, changes_between, merged
from agentreg.extensions.definitions.catalog.spawning import Living, SpawnedAgent, origin
from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.problems import DefinitionNotFoundError, Problem
from agentreg.extensions.definitions.sources.folders import scopes
from agentreg.extensions.definitions.sources.source import Source

if TYPE_CHECKING:
    from agentreg.extensions.definitions.catalog.watching import Hints

__all__ = ["Catalog", "Reloaded"]

Sleep = Callable[[float], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of reloading one definition.

    Attributes:
        definition: What is in force now; None if the file is gone.
        changed: Whether that is another than before.
        problem: Why the file's content was refused, if it was.
    """

    definition: AgentDefinition | None
    changed: bool
    problem: Problem | None


class Catalog:
    """Definitions from many sources, one of each name.

    Nothing is read when it is made. The first question loads every source,
    in the thread that asks; from then on questions are answered from
    memory, without a lock, and `refresh`, `reload` and `watch` bring what
    has changed. A reader sees the state before a change or the one after
    it. A file that is edited into something broken, or that does not pass
    the checks, leaves the definition in force that it had before.

    Thread-safe: yes. Listeners are told in the thread that brings a change,
    one change at a time, outside of any lock.

    Args:
        sources: In rising precedence: of two definitions with one name, that of the later source counts.
        scope: ``"user"``, ``"project"`` or ``"both"``: the others' folders are left out. Sources without a scope stay.
        checks: What a new definition has to pass.
        clock: Seconds since 1970, for `sources`.

    Raises:
        ValueError: *scope* is another, or two sources have one name.

    Example:
        >>> import os, tempfile
        >>> from agentreg.extensions.definitions import FolderSource
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with open(os.path.join(folder, "scout.md"), "w") as file:
        ...         _ = file.write("---\\nname: scout\\ndescription: Looks around\\n---\\nYou are a scout.")
        ...     Catalog([FolderSource(folder)]).get("scout").body
        'You are a scout.'
    """

    def __init__(
        self,
        sources: Iterable[Source],
        scope: str = "both",
        *,
        checks: Checks | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        wanted = scopes(scope)
        sources = _checked(sources)
        taken = [source for source in sources if getattr(source, "scope", None) not in {"user", "project"} - wanted]
        names = [source.name for source in taken]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two sources are named {twice!r}; pass name= when making one of them")
        self._held = [Held(source, checks or Checks(), clock) for source in taken]
        self._snapshot: Snapshot | None = None
        self._is_loading = False
        self._clones: dict[str, AgentDefinition] = {}
        self._cloned: tuple[AgentDefinition, ...] = ()  # those in the snapshot
        self._living = Living()
        self._announcements = Announcements(self._tell_living)
        self._renew_locks()
        _catalogs.add(self)

    def __repr__(self) -> str:
        return f"<Catalog of {', '.join(held.source.name for held in self._held) or 'nothing'}>"

    def _renew_locks(self) -> None:
        # a finalizer may use the catalog in the middle of its thread's own call
        self._loading = threading.RLock()  # while everything is read for the first time
        self._changing = threading.RLock()  # while one snapshot takes the place of another: no foreign code
        self._announcements.renew_locks()
        for held in self._held:
            held.lock = threading.RLock()

    # -- questions ----------------------------------------------------------

    @property
    def revision(self) -> int:
        """How often it has changed; never falls."""
        return self._now().revision

    def get(self, name: str) -> AgentDefinition | None:
        """The agent definition *name*, or None."""
        return self._now().agents.get(name)

    def require(self, name: str) -> AgentDefinition:
        """The agent definition *name*.

        Raises:
            DefinitionNotFoundError: there is none; it names the nearest.
        """
        snapshot = self._now()
        found = snapshot.agents.get(name)
        if found is None:
            raise _not_found(name, snapshot.agents)
        return found

    def all(self) -> list[AgentDefinition]:
        """Every agent definition, sorted by name; templates are not among them."""
        return list(self._now().agents.values())

    def templates(self) -> list[AgentDefinition]:
        """Every template, sorted by name."""
        return list(self._now().templates.values())

    def find(
        self,
        *,
        tags: str | Iterable[str] = (),
        text: str | None = None,
        tool: str | None = None,
        model: str | None = None,
    ) -> list[AgentDefinition]:
        """The agent definitions that fit everything that is asked for, sorted by name.

        Args:
            tags: Each of these is among its tags.
            text: It stands in the name, the description, the specialization or a tag, whatever the case.
            tool: It may use this tool: see `AgentDefinition.allows`.
            model: It names this model.
        """
        wanted = {tags} if isinstance(tags, str) else set(tags)
        sought = text.casefold() if text else ""
        return [
            each
            for each in self._now().agents.values()
            if wanted.issubset(each.tags)
            and (model is None or each.model == model)
            and (tool is None or each.allows(tool))
            and (not sought or sought in _words(each))
        ]

    def shadowed(self) -> list[Shadowed]:
        """Which definitions are hidden by another of the same name, and why."""
        return list(self._now().shadowed)

    def problems(self) -> list[Problem]:
        """Errors, warnings and informations about all files, sorted by path and place."""
        return self._now().problems()

    def sources(self) -> list[SourceStatus]:
        """How each source is doing, in rising precedence."""
        return [content.status for content in self._now().contents]

    def _now(self) -> Snapshot:
        snapshot = self._snapshot
        if snapshot is None:
            snapshot = self._load()
        return snapshot

    # -- change -------------------------------------------------------------

    def refresh(self, sources: Collection[str] | None = None) -> None:
        """Read again what has changed: of all sources, or of those with these names. Waits for them."""
        if self._snapshot is None:
            self._load()
            return
        for held in self._held:
            if sources is None or held.source.name in sources:
                with held.lock:
                    held.refresh()
                self._publish()

    def reload(self, name: str) -> Reloaded:
        """Read the definition *name*, an agent's or a template's, again, whatever the time stamps of its file say.

        Raises:
            DefinitionNotFoundError: there is none.
        """
        definition = self._found(name)
        held = self._holder(definition)
        if held is None:  # a clone: there is nothing to read
            return Reloaded(definition, False, None)
        with held.lock:
            forget = getattr(held.source, "forget", None)
            if callable(forget):
                forget(definition.file_path)
            held.refresh()
            problem = held.content.refused.get(definition.file_path)
        self._publish()
        now = self._now()
        after = (now.templates if definition.kind == "template" else now.agents).get(name)
        return Reloaded(after, after != definition, problem)

    async def reload_every(self, seconds: float, *, sleep: Sleep = asyncio.sleep) -> None:
        """Refresh every *seconds*, in a worker thread, until it is cancelled."""
        while True:
            await sleep(seconds)
            await asyncio.to_thread(self.refresh)

    async def watch(
        self,
        *,
        debounce: float = 0.5,
        every: float = 10.0,
        pulse: float = 1.0,
        hints: Hints | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Keep it current until it is cancelled. Needs the extra ``definitions``.

        Every event of the file system has its source read again, and
        everything is read again now and then, for events get lost.

        Args:
            debounce: Seconds from an event to the reading, for all events of that time.
            every: Seconds from one reading of everything to the next.
            pulse: Seconds from one look at whether the roots are still the same folders to the next.
            hints: What tells of events in some roots; by default watchfiles does.
            sleep: Waits so many seconds.

        Raises:
            ModuleNotFoundError: watchfiles is missing.
        """
        from agentreg.extensions.definitions.catalog.watching import Watcher

        await Watcher(self, debounce=debounce, every=every, pulse=pulse, hints=hints, sleep=sleep).run()

    def roots(self) -> dict[str, str]:
        """The folders worth watching, each with the name of its source."""
        return {root: held.source.name for held in self._held for root in getattr(held.source, "roots", ())}

    def subscribe(self, listener: Listener) -> Subscription:
        """Call ``listener(change)`` for every change from now on; what is there now is in the subscription."""
        self._now()
        with self._changing:
            now = self._now()
            subscription = Subscription(listener, now.revision, now.agents, self._announcements)
            self._announcements.add(subscription)
        return subscription

    def _load(self) -> Snapshot:
        with self._loading:
            if self._snapshot is None and not self._is_loading:
                self._is_loading = True
                try:
                    for held in self._held:
                        with held.lock:
                            held.refresh()
                    self._publish()
                finally:
                    self._is_loading = False
            return self._snapshot or Snapshot()  # a check that asks meanwhile sees nothing yet

    def _publish(self) -> None:
        with self._changing:
            while not self._replaced():
                continue  # a finalizer has changed it in between
        self._announcements.tell()

    def _replaced(self) -> bool:
        """Put a snapshot of what is held in the place of the present one; False if that has changed meanwhile."""
        present = self._snapshot
        before = present or Snapshot()
        contents = [held.content for held in self._held]
        clones = tuple(self._clones.values())
        if present is not None and clones == self._cloned and list(map(id, before.contents)) == list(map(id, contents)):
            return True
        after = merged(contents, clones, before.revision + 1)
        changes = changes_between(before, after)
        if not changes:
            after = replace(after, revision=before.revision)
        if self._snapshot is not present:
            return False
        self._snapshot, self._cloned = after, clones
        self._announcements.put(changes)
        return True

    def _holder(self, definition: AgentDefinition) -> Held | None:
        return next((held for held in self._held if any(each is definition for each in held.content.definitions)), None)

    def _tell_living(self, change: DefinitionChange) -> None:
        if isinstance(change, (DefinitionRegistered, DefinitionUpdated, DefinitionMoved)):
            self._living.tell(change.definition)

    # -- copies and agents --------------------------------------------------

    def clone(self, name: str, new_name: str) -> AgentDefinition:
        """A copy of the agent or template *name*, listed as an agent called *new_name*.

        Its metadata says ``cloned_from`` and ``template_source``. It lives
        in this catalog only, and stays as it is when the original changes;
        a source that brings the same name has precedence over it.

        Raises:
            DefinitionNotFoundError: there is no *name*.
            NameTakenError: *new_name* is that of a definition.
            ValueError: *new_name* is empty.
        """
        if not isinstance(new_name, str) or not new_name.strip():
            raise ValueError(f"the clone's name: expected some text, got {new_name!r}")
        original = self._found(name)
        copy = replace(
            original, name=new_name, kind="agent", metadata={**original.metadata, **origin(original)}, warnings=()
        )
        with self._changing:
            taken = self._now().agents.get(new_name)
            if taken is None:
                self._clones[new_name] = copy
        if taken is not None:
            raise NameTakenError(new_name, f"the definition {taken.file_path}")
        self._publish()
        return copy

    def spawn(self, name: str, *, model: Any = None, agent_name: str | None = None, **kwargs: Any) -> SpawnedAgent:
        """A registered agent made from the agent or template *name*; hold it, or it leaves.

        When its definition changes, the agent's ``on_definition_changed(definition)`` is called; it keeps running.

        Args:
            name: The definition's name.
            model: What it thinks with: see `agentreg.Agent`. The definition's own is a name only: ``definition.model``.
            agent_name: What the agent is registered as; the definition's name by default.
            kwargs: Anything else that `agentreg.Agent` takes.

        Raises:
            DefinitionNotFoundError: there is no *name*.
            NameTakenError: another agent is registered under that name.
        """
        definition = self._found(name)
        agent = SpawnedAgent(agent_name or definition.name, definition=definition, model=model, **kwargs)
        self._living.add(definition, agent)
        return agent

    def _found(self, name: str) -> AgentDefinition:
        snapshot = self._now()
        found = snapshot.agents.get(name) or snapshot.templates.get(name)
        if found is None:
            raise _not_found(name, [*snapshot.agents, *snapshot.templates])
        return found


def _not_found(name: str, names: Iterable[str]) -> DefinitionNotFoundError:
    return DefinitionNotFoundError(name, difflib.get_close_matches(str(name), list(names), 3))


def _words(definition: AgentDefinition) -> str:
    parts = (definition.name, definition.description, definition.specialization or "", *definition.tags)
    return "\n".join(parts).casefold()


_catalogs: weakref.WeakSet[Catalog] = weakref.WeakSet()


def _after_fork() -> None:
    for catalog in _catalogs:
        catalog._renew_locks()  # a thread that the child doesn't have may hold them


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _checked(sources: Any) -> list[Source]:
    if isinstance(sources, (str, bytes)) or not isinstance(sources, Iterable):
        raise TypeError(f"sources: expected several, such as [FolderSource('agents')], got {sources!r}")
    taken = list(sources)
    for source in taken:
        if not isinstance(getattr(source, "name", None), str) or not callable(getattr(source, "load", None)):
            raise TypeError(f"sources: expected objects with a name and load(), such as FolderSource, got {source!r}")
    return taken
