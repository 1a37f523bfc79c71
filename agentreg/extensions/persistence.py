"""The registry as a JSON file, and agents made again from it.

`PersistenceMixin` adds saving, loading and restoring to a registry class,
and `PersistentRegistry` is ready-made.

A state, in the file and as a dict: ``version``, ``timestamp``, ``agents``
(name -> ``type``, ``description``, ``goal``, ``instruction``,
``capabilities``, ``tools``, ``model``) and ``pools`` (name -> ``type``,
``agent_type``, ``num_instances``, and ``members``, described as agents are).
Every agent is in it once: pool members only under their pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import json
import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

from agentreg import Agent, AgentRegistry, BaseAgent
from agentreg.errors import NameTakenError, RegistryError

__all__ = ["PersistenceMixin", "PersistentRegistry", "RestoreReport", "StateFileAccessError", "StateFileError"]

STATE_VERSION = 1
NO_MODEL = "unknown"
TEXT_LIMIT = 500  # characters kept of what an error shows

_log = logging.getLogger("agentreg")
_TEXTS = ("description", "goal", "instruction")
_KINDS: dict[type, str] = {str: "text", list: "a list", Mapping: "an object"}
_FOREIGN = "it is not what save_state writes, or was changed since: mend that place, or save the state again"
_DAMAGED = "it was cut off or damaged: take a whole copy, or save the state again"


class StateFileError(RegistryError, ValueError):
    """A state is not what `PersistenceMixin.save_state` writes.

    Attributes:
        path: The file, or what else the state came from.
        place: Where in it: ``line:column``, or the way to a value (``agents["planner"].model``), or empty.
        cause: What is wrong there.
        advice: What to do.
    """

    def __init__(self, path: str, place: str, cause: str, advice: str) -> None:
        super().__init__(path, place, cause, advice)
        self.path, self.place, self.cause, self.advice = path, place, cause, advice

    def __reduce__(self) -> tuple[type[StateFileError], tuple[str, str, str, str]]:
        return type(self), (self.path, self.place, self.cause, self.advice)  # OSError keeps only some arguments

    def __str__(self) -> str:
        where = f"{self.path}:{self.place}" if self.place else self.path
        return f"{where}: {self.cause}; {self.advice}"


class StateFileAccessError(StateFileError, OSError):
    """The file itself can't be read or written: it, or its folder, is missing or not permitted."""


@dataclass(frozen=True)
class RestoreReport:
    """What came of restoring a state.

    Attributes:
        restored: Name -> agent. The registry holds agents weakly: drop the report, and they go.
        skipped: Name -> why it was not tried: the name is taken, its model is missing, or it is a pool.
        failed: Name -> what went wrong: its type is not to be found, or making it raised.
    """

    restored: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class PersistenceMixin:
    """What a registry class gains: its agents described in a file, and made again from there.

    What is saved describes the agents; their memory, tools and models stay
    with the program. Nothing is kept between the calls.

    Thread-safe: yes; of two saves to one file, the later stays, whole.
    """

    @classmethod
    def save_state(cls, path: str | os.PathLike[str]) -> None:
        """Describe every agent and pool that is registered now in the file *path*.

        The state is written beside it, synced, and put in its place whole:
        who is killed meanwhile leaves the old one (and perhaps a
        ``.agentreg-*.tmp``). The file keeps its permissions, a new one has
        the usual; a link is followed. It waits for the disk: in an event
        loop, use ``asyncio.to_thread``.

        What an agent lacks, or has in another form than text (or texts), is
        saved as empty, an unnamed model as ``"unknown"``. Who leaves before
        its turn is left out.

        Raises:
            StateFileAccessError: the file can't be written; it is an ``OSError`` too.

        >>> import os, tempfile
        >>> agent = Agent("planner", goal="Plan")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     PersistentRegistry.save_state(os.path.join(folder, "state.json"))
        ...     PersistentRegistry.load_state(os.path.join(folder, "state.json"))["agents"]["planner"]["goal"]
        'Plan'
        """
        text = json.dumps(_present(), indent=2, ensure_ascii=False)
        # what UTF-8 can't hold, half of a pair, becomes an escape of JSON's own
        content = f"{text}\n".encode("utf-8", "backslashreplace")
        with _access(path, "can't be written", "save to a file in a folder that exists and that you may write to"):
            _replace(os.path.realpath(path), content)

    @classmethod
    def load_state(cls, path: str | os.PathLike[str]) -> dict[str, Any]:
        """The state that `save_state` wrote to *path*, checked.

        Raises:
            StateFileError: the file is cut off, newer, or no state at all; it says where, and what to do.
            StateFileAccessError: the file is missing or can't be read; it is an ``OSError`` too.

        >>> PersistentRegistry.load_state("/nowhere/state.json")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        agentreg.extensions.persistence.StateFileAccessError: /nowhere/state.json: can't be read: ...
        """
        with _access(path, "can't be read", "give the path of a file that save_state wrote"), open(path, "rb") as file:
            content = file.read()
        return _checked(_parsed(content, os.fspath(path)), os.fspath(path), from_file=True)

    @classmethod
    async def restore_agents(
        cls,
        state: Mapping[str, Any],
        model_configs: Mapping[str, Any],
        factories: Mapping[str, Callable[..., Any]] | None = None,
    ) -> RestoreReport:
        """Make the agents of *state* again, one after the other, and report what came of each.

        The type of an agent is looked up in *factories* (type name -> class
        or function, plain or ``async``); then it is `Agent`, then the
        subclass of `BaseAgent` of this name. A class with ``create_safe`` is
        made by that. It is given by keyword what it takes of name,
        description, goal, instruction, capabilities, and ``model`` (or
        ``model_config``), which is ``model_configs[its model's name]``; one
        that was saved with the model ``"unknown"`` needs none.

        A name that is taken is skipped, never replaced, and so are pools.
        One that fails never stops the rest. When this is cancelled, the
        agents made so far are cleaned up and unregistered.

        Raises:
            StateFileError: *state* is malformed; nothing was made.

        >>> import asyncio
        >>> state = {"version": 1, "agents": {"planner": {"type": "Agent", "goal": "Plan", "model": "m"}}}
        >>> report = asyncio.run(PersistentRegistry.restore_agents(state, {"m": lambda messages: "a plan"}))
        >>> AgentRegistry.get("planner").goal
        'Plan'
        >>> del report
        >>> AgentRegistry.get("planner") is None
        True
        """
        checked = _checked(state, "the state to restore", from_file=False)
        return await _Restoring(model_configs, factories or {}).run(checked)


class PersistentRegistry(PersistenceMixin, AgentRegistry):
    """`AgentRegistry` with a memory on disk: the same agents, saved and restored."""


# -- describing -------------------------------------------------------------


def _present() -> dict[str, Any]:
    everything = AgentRegistry.all_with_pools()
    agents: dict[str, Any] = {}
    members: dict[str, dict[str, Any]] = {}
    pools: dict[str, Any] = {}
    for name, thing in everything.items():
        owner = AgentRegistry.get_pool_name_for_instance(name)
        if AgentRegistry.get(name) is thing:
            shelf = agents if owner is None or owner not in everything else members.setdefault(owner, {})
            shelf[name] = _describe(thing)
        elif AgentRegistry.get_pool(name) is thing:  # it comes behind its members
            pools[name] = _describe_pool(thing, members.get(name, {}))
    timestamp = datetime.now(timezone.utc).isoformat()
    return {"version": STATE_VERSION, "timestamp": timestamp, "agents": agents, "pools": pools}


def _describe(agent: Any) -> dict[str, Any]:
    return {"type": type(agent).__name__, **{name: _field(agent, name, form) for name, form in _FORMS.items()}}


def _describe_pool(pool: Any, members: dict[str, Any]) -> dict[str, Any]:
    types = {"type": type(pool).__name__, "agent_type": next((member["type"] for member in members.values()), "")}
    return {**types, "num_instances": len(members), "members": members}


def _field(agent: Any, name: str, form: Callable[[Any], Any]) -> Any:
    try:
        return form(getattr(agent, name, None))
    except Exception as error:
        _log.warning("the %s of a %s is saved as empty: %s", name, type(agent).__name__, type(error).__name__)
        return form(None)


def _text(value: Any) -> str:
    return str.__str__(value) if isinstance(value, str) else ""


def _name_of(tool: Any) -> str:
    if isinstance(tool, str):
        return _text(tool)
    return _text(getattr(tool, "name", None)) or _text(getattr(tool, "__name__", None)) or type(tool).__name__


def _items(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=_name_of)
    return list(value) if isinstance(value, (list, tuple, Mapping)) else []  # another might be used up by reading


_FORMS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TEXTS, _text),
    "capabilities": lambda value: [text for text in map(_text, _items(value)) if text],
    "tools": lambda value: list(map(_name_of, _items(value))),
    "model": lambda model: _text(getattr(model, "name", None)) or NO_MODEL,
}


# -- files ------------------------------------------------------------------


def _replace(target: str, content: bytes) -> None:
    """Put *content* in the place of the file *target*, at once."""
    folder = os.path.dirname(target)
    beside = os.path.join(folder, f".agentreg-{uuid4().hex}.tmp")
    before = os.stat(target) if os.path.exists(target) else None
    # a new file has the usual permissions; tempfile's would be for the owner only
    opener = functools.partial(os.open, mode=0o666 if before is None else 0o600)
    try:
        with open(beside, "xb", opener=opener) as file:
            if before is not None:
                with contextlib.suppress(OSError, AttributeError):  # only some may give a file away
                    os.chown(beside, before.st_uid, before.st_gid)
                os.chmod(beside, stat.S_IMODE(before.st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    with contextlib.suppress(OSError):  # not every system can sync a folder; the file is in its place already
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _access(path: str | os.PathLike[str], trouble: str, advice: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        access = StateFileAccessError(os.fspath(path), "", f"{trouble}: {error.strerror or error}", advice)
        access.errno, access.strerror, access.filename = error.errno, error.strerror, access.path
        raise access from error


def _parsed(content: bytes, path: str) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise StateFileError(path, f"{error.lineno}:{error.colno}", f"no JSON: {error.msg}", _DAMAGED) from error
    except (ValueError, RecursionError) as error:  # no UTF-8, a number of 5,000 digits, brackets 100,000 deep
        raise StateFileError(path, "", f"no JSON: {error}", _DAMAGED) from error


def _checked(state: Any, path: str, from_file: bool) -> dict[str, Any]:
    """The state, if it has the right version and shape; one that was made by hand may lack a few things."""
    if isinstance(state, Mapping) and (from_file or "version" in state):
        _check_version(state.get("version"), path)
    for place, value, kind in _parts(state):
        if not isinstance(value, kind):  # then no further part is asked for
            raise StateFileError(path, place, f"expected {_KINDS[kind]}, got {_shown(value)}", _FOREIGN)
    return dict(state)


def _check_version(version: Any, path: str) -> None:
    if type(version) is not int or version < 1:
        raise StateFileError(path, "version", f"expected a whole number from 1 up, got {_shown(version)}", _FOREIGN)
    if version > STATE_VERSION:
        cause = f"version {version} is newer than {STATE_VERSION}, the latest that this agentreg reads"
        raise StateFileError(path, "version", cause, "upgrade agentreg, or save the state with this one")


def _parts(state: Any) -> Iterator[tuple[str, Any, type]]:
    """The place of each part, its value, and what that has to be."""
    yield "", state, Mapping
    yield "agents", state.get("agents"), Mapping
    yield from _records(state["agents"], "agents")
    yield "pools", state.get("pools", {}), Mapping
    for name, pool in state.get("pools", {}).items():
        place = f"pools[{_shown(name)}]"
        yield place, pool, Mapping
        yield f"{place}.members", pool.get("members", {}), Mapping
        yield from _records(pool.get("members", {}), f"{place}.members")


def _records(records: Mapping[str, Any], within: str) -> Iterator[tuple[str, Any, type]]:
    for name, record in records.items():
        place = f"{within}[{_shown(name)}]"
        yield place, name, str
        yield place, record, Mapping
        yield f"{place}.type", record.get("type"), str
        for key in (*_TEXTS, "model"):
            yield f"{place}.{key}", record.get(key, ""), str
        for key in ("capabilities", "tools"):
            yield f"{place}.{key}", record.get(key, []), list
            yield from ((f"{place}.{key}[{index}]", text, str) for index, text in enumerate(record.get(key, [])))


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, (str, bool, int, float)):
        return f"{json.dumps(value, ensure_ascii=False):.{TEXT_LIMIT}}"
    return next((what for kind, what in _KINDS.items() if isinstance(value, kind)), f"a {type(value).__name__}")


# -- restoring --------------------------------------------------------------


class _Skipped(Exception):
    """Why an agent is not even tried."""


class _Restoring:
    """One restoration under way."""

    def __init__(self, configs: Mapping[str, Any], factories: Mapping[str, Callable[..., Any]]) -> None:
        self.report = RestoreReport()
        self._configs = configs
        self._makers = {name: _Maker(function) for name, function in {"Agent": Agent, **factories}.items()}

    async def run(self, state: dict[str, Any]) -> RestoreReport:
        """Try every agent; when cancelled, undo those that were made."""
        try:
            for name, record in state["agents"].items():
                await self._try(name, record)
        except BaseException:
            await asyncio.gather(*map(_undo, self.report.restored, self.report.restored.values()))
            raise
        for name in state.get("pools", {}):
            self.report.skipped[name] = "it is a pool, and those are not restored; make it with create_agent_pool"
        return self.report

    async def _try(self, name: str, record: Mapping[str, Any]) -> None:
        try:
            self.report.restored[name] = await self._make(name, record)
        except _Skipped as error:
            self.report.skipped[name] = str(error)
        except Exception as error:
            late = isinstance(error, NameTakenError) and error.name == name  # somebody was quicker
            (self.report.skipped if late else self.report.failed)[name] = _reason(error, record["type"])

    async def _make(self, name: str, record: Mapping[str, Any]) -> Any:
        if AgentRegistry.get(name) is not None or AgentRegistry.is_pool(name):
            raise _Skipped(f"the name {name!r} is taken; unregister its holder first")
        kind = record["type"]
        maker = self._makers.get(kind) or self._makers.setdefault(kind, _Maker(_subclass(kind)))
        agent = await maker.make(maker.arguments(name, record, self._configs))
        try:
            _enter(agent, name, maker.fresh)
        except BaseException:
            if maker.fresh:
                await _undo(name, agent)
            raise
        return agent


class _Maker:
    """How agents of one type are made.

    Attributes:
        fresh: Whether what it makes is new: a class makes it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        create = getattr(function, "create_safe", None)
        self.fresh = isinstance(function, type)
        self._create = create if self.fresh and callable(create) else function
        self._named, self._open = _keywords(self._create)
        if self._open and self._create is not function:  # what it passes on, the constructor has to take
            named, self._open = _keywords(function)
            self._named |= named

    def arguments(self, name: str, record: Mapping[str, Any], configs: Mapping[str, Any]) -> dict[str, Any]:
        """What is passed for the agent *name*: through ``**kwargs``, only what is not empty."""
        arguments: dict[str, Any] = {"name": name} if self._takes("name") else {}
        for key in (*_TEXTS, "capabilities"):
            if (key in self._named and key in record) or (self._open and record.get(key)):
                arguments[key] = record[key]
        model = record.get("model", NO_MODEL)
        keyword = "model_config" if "model_config" in self._named and "model" not in self._named else "model"
        if self._takes(keyword):
            if model in configs:
                arguments[keyword] = configs[model]
            elif model != NO_MODEL:
                raise _Skipped(f"there is no model for it; pass model_configs={{{model!r}: ...}}")
        return arguments

    async def make(self, arguments: dict[str, Any]) -> Any:
        """A new agent, or whatever a function gives."""
        made = self._create(**arguments)
        plain = isinstance(self._create, type)  # an instance may be awaitable for reasons of its own
        return await made if not plain and inspect.isawaitable(made) else made

    def _takes(self, keyword: str) -> bool:
        return self._open or keyword in self._named


def _keywords(function: Callable[..., Any]) -> tuple[set[str], bool]:
    """What *function* takes by keyword, and whether it takes any other as well."""
    if isinstance(function, type) and issubclass(function, BaseAgent):
        function = function.__init__  # the class's own signature may be that of BaseAgent.__new__
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return set(), False
    named = {each.name for each in parameters if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)}
    return named, any(each.kind is each.VAR_KEYWORD for each in parameters)


def _subclass(name: str) -> Callable[..., Any]:
    """The one subclass of `BaseAgent` that is called *name*; of one that was defined again, the latest."""
    if len(_subclasses(name)) > 1:
        gc.collect()  # a class is in a cycle: those of functions that have returned linger
    found = _subclasses(name)
    if len(found) == 1:
        return found.popitem()[1]
    which = f"several ({', '.join(sorted(found))})" if found else "none; import its module first"
    raise LookupError(f"of agent classes called {name!r} there are {which}")


def _subclasses(name: str) -> dict[str, Callable[..., Any]]:
    kinds: list[type] = [BaseAgent]
    for kind in kinds:
        kinds += kind.__subclasses__()  # and so on with those
    return {f"{kind.__module__}.{kind.__qualname__}": kind for kind in kinds if kind.__name__ == name}


def _enter(agent: Any, name: str, fresh: bool) -> None:
    """See to it that *agent* is registered as *name*; a fresh one that chose another name is renamed."""
    if agent is not None and AgentRegistry.get(name) is agent:
        return
    if fresh:
        AgentRegistry.unregister_instance(agent)
        if getattr(agent, "name", name) != name:
            agent.name = name
    AgentRegistry.register(agent, name)


async def _undo(name: str, agent: Any) -> None:
    AgentRegistry.unregister_if_same(name, agent)
    try:
        cleanup = getattr(agent, "cleanup", None)
        result = cleanup() if callable(cleanup) else None
        if inspect.isawaitable(result):
            await result
    except Exception:
        _log.exception("the clean-up of a %s failed", type(agent).__name__)


def _reason(error: Exception, type_name: str) -> str:
    try:
        text = f"{error!s:.{TEXT_LIMIT}}"
    except Exception:
        text = "(its text can't be read)"
    return f"{type(error).__name__}: {text}; factories={{{type_name!r}: ...}} can make it in another way"
