"""AgentRequest: what somebody wants to register, or to reload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from typing_extensions import Self

from agentreg.extensions.resources.sizes import parse_size

__all__ = ["RANKED_PRIORITIES", "AgentRequest", "priority_word"]

NAME_LIMIT = 255

RANKED_PRIORITIES = ("low", "normal", "important", "critical")
"""The priorities, the lowest first."""

_TUPLES = ("tools", "required_tools", "denied_tools", "mcp_servers", "optional_mcp_servers")
_TEXTS = ("name", "replaces", "file_path")


@dataclass(frozen=True)
class AgentRequest:
    """What somebody wants to register, or to reload. Immutable; strategies make changed copies.

    Attributes:
        name: The name to register under: 1 to 255 printable characters.
        tools: What it wants to use, as ``Bash``, ``Bash(git:*)`` or ``mcp__server__tool``; None for all that it may.
        required_tools: Those of which something must be left; they count as asked for.
        denied_tools: What it must not use; strategies add to it.
        mcp_servers: The MCP servers that it wants a connection to, optional ones included.
        optional_mcp_servers: Those that it can do without.
        memory: Text with a unit (``"1024mb"``) or bytes; None when it wants no share.
        minimum_memory: The least that it can do with; None when that is `memory`.
        priority: ``"critical"``, ``"important"``, ``"normal"`` or ``"low"``.
        tasks: How many tasks at once it wants a share for.
        file_path: The file that it is made from, to be watched; None when there is none.
        replaces: The name of the agent that it takes over from, for a reload; that name is no conflict.
        agent: The live agent, if there is one. It is left out of comparisons and texts.
        metadata: Whatever the caller wants to find again.

    Raises:
        TypeError: a field is of another type.
        ValueError: the name, the priority, the number of tasks or a size is out of bounds.

    >>> AgentRequest("scout", tools=["Read", "Bash(git:*)"]).tools
    ('Read', 'Bash(git:*)')
    """

    name: str
    tools: tuple[str, ...] | None = None
    required_tools: tuple[str, ...] = ()
    denied_tools: tuple[str, ...] = ()
    mcp_servers: tuple[str, ...] = ()
    optional_mcp_servers: tuple[str, ...] = ()
    memory: str | int | None = None
    minimum_memory: str | int | None = None
    priority: str = "normal"
    tasks: int = 10
    file_path: str | None = None
    replaces: str | None = None
    agent: Any = field(default=None, repr=False, compare=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    # lists are taken, too: what is kept is always a tuple
    def __init__(
        self,
        name: str,
        tools: Iterable[str] | None = None,
        required_tools: Iterable[str] = (),
        denied_tools: Iterable[str] = (),
        mcp_servers: Iterable[str] = (),
        optional_mcp_servers: Iterable[str] = (),
        memory: str | int | None = None,
        minimum_memory: str | int | None = None,
        priority: str | int = "normal",
        tasks: int = 10,
        file_path: str | None = None,
        replaces: str | None = None,
        agent: Any = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        given = {key: value for key, value in locals().items() if key != "self"}
        given["priority"] = priority_word(priority)
        given["metadata"] = {} if metadata is None else metadata
        for key in _TUPLES:
            given[key] = _names(given[key], key)
        servers = (*given["mcp_servers"], *given["optional_mcp_servers"])
        given["mcp_servers"] = tuple(dict.fromkeys(servers))
        for key, value in given.items():
            object.__setattr__(self, key, value)
        self._check()

    @classmethod
    def of(cls, source: Any, **changes: Any) -> Self:
        """A request from a definition, or from a record of the registry as a mapping.

        Read are ``name``, ``tools``, ``disallowed_tools``, ``mcp_servers``,
        ``resource_limit``, ``priority`` and ``file_path``; of a record, those
        in its ``config`` and ``max_concurrent_tasks`` in its ``resources``.
        *changes* are fields of the request and count more.

        >>> record = {"name": "scout", "config": {"resource_limit": "512mb", "priority": 8}}
        >>> request = AgentRequest.of(record, tasks=2)
        >>> request.memory, request.priority, request.tasks
        ('512mb', 'important', 2)
        """
        return cls(**{**_fields_of(source), **changes})

    def changed(self, **changes: Any) -> Self:
        """A copy with other values in some fields.

        >>> AgentRequest("scout").changed(priority="low").priority
        'low'
        """
        return replace(self, **changes)

    def differences(self, other: AgentRequest) -> dict[str, tuple[Any, Any]]:
        """Field -> its value here and in *other*, for those that differ.

        >>> AgentRequest("a").differences(AgentRequest("b"))
        {'name': ('a', 'b')}
        """
        pairs = {each.name: (getattr(self, each.name), getattr(other, each.name)) for each in fields(self)}
        return {key: pair for key, pair in pairs.items() if pair[0] != pair[1] and key not in ("agent", "metadata")}

    def _check(self) -> None:
        for key in _TEXTS:
            value = getattr(self, key)
            if value is not None or key == "name":
                _check_text(value, key)
        if len(self.name) > NAME_LIMIT or not self.name.isprintable():
            raise ValueError(f"name: expected 1 to {NAME_LIMIT} printable characters, got {self.name[:60]!r}")
        if isinstance(self.tasks, bool) or not isinstance(self.tasks, int):
            raise TypeError(f"tasks: expected a whole number, got {self.tasks!r}")
        if self.tasks < 0:
            raise ValueError(f"tasks: expected 0 or more, got {self.tasks}")
        for key in ("memory", "minimum_memory"):
            if getattr(self, key) is not None:
                parse_size(getattr(self, key), key)


def priority_word(priority: str | int) -> str:
    """One of `RANKED_PRIORITIES`; of a number from 1 to 10, the word for it.

    9 and 10 are critical, 7 and 8 important, 4 to 6 normal, 1 to 3 low. The
    words ``high`` and ``medium`` mean important and normal.

    >>> priority_word(8), priority_word("Low"), priority_word("medium")
    ('important', 'low', 'normal')

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(priority, int) and not isinstance(priority, bool) and 1 <= priority <= 10:
        return RANKED_PRIORITIES[(priority > 3) + (priority > 6) + (priority > 8)]
    if isinstance(priority, str):
        if priority.strip().isdecimal():
            return priority_word(int(priority)) if 1 <= int(priority) <= 10 else _no_priority(priority)
        word = priority.strip().lower()
        word = {"high": "important", "medium": "normal"}.get(word, word)
        if word in RANKED_PRIORITIES:
            return word
    return _no_priority(priority)


def _no_priority(priority: object) -> str:
    expected = ", ".join(reversed(RANKED_PRIORITIES))
    raise ValueError(f"priority: expected {expected}, or a number from 1 to 10, got {priority!r}")


def _fields_of(source: Any) -> dict[str, Any]:
    if not isinstance(source, Mapping):
        source = {key: getattr(source, key) for key in _READ if hasattr(source, key)}
    config = {**source, **(source.get("config") or {})}
    found = {ours: config.get(theirs) for theirs, ours in _READ.items()}
    found["name"] = source.get("name", found["name"])
    found["tasks"] = (source.get("resources") or {}).get("max_concurrent_tasks")
    return {key: value for key, value in found.items() if value is not None}


_READ = {
    "name": "name",
    "tools": "tools",
    "disallowed_tools": "denied_tools",
    "mcp_servers": "mcp_servers",
    "resource_limit": "memory",
    "priority": "priority",
    "file_path": "file_path",
}


def _names(values: Iterable[str] | None, what: str) -> tuple[str, ...] | None:
    if values is None and what == "tools":
        return None
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{what}: expected several texts, got {values!r}; write [{values!r}]")
    return tuple(dict.fromkeys(_check_text(value, what) for value in values))


def _check_text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what}: expected text, got {value!r} of type {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"{what}: expected some text, got {value!r}")
    return value
