"""The five checks that a definition passes before it comes into force, each of them pluggable.

A check is called with the new definition and what it would replace, and
gives None, or why not. One that raises counts as failed.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.problems import Problem

__all__ = [
    "Check",
    "Checks",
    "Reload",
    "mcp_servers_reachable",
    "no_conflict",
    "resources_available",
    "tools_permitted",
    "well_formed",
]

_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_AMOUNT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kmgt]?)i?b?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reload:
    """What a check may want to know.

    Attributes:
        previous: The definition that would be replaced; None for a new one.
        others: The definitions of the same source that have the same name and kind.
    """

    previous: AgentDefinition | None = None
    others: tuple[AgentDefinition, ...] = ()


Check = Callable[[AgentDefinition, Reload], "str | None"]


def well_formed(definition: AgentDefinition, reload: Reload) -> str | None:
    """Syntax: whatever was parsed passes; what was not is refused before."""
    return None if definition.name and definition.description else "the name or the description is empty"


def no_conflict(definition: AgentDefinition, reload: Reload) -> str | None:
    """Conflict: an agent may not take a name that another file of its source has; a new file just ranks behind it."""
    if reload.previous is None or reload.previous.name == definition.name or not reload.others:
        return None
    return f"the name {definition.name!r} is that of {reload.others[0].file_path}"


def resources_available(available: Callable[[], int] | None = None) -> Check:
    """A check of `resource_limit`: it is an amount such as ``512mb``, and at most *available* bytes.

    >>> resources_available(lambda: 2**20)(AgentDefinition("a", "b", resource_limit="2mb"), Reload())
    "the resource limit '2mb' is more than the 1,048,576 bytes that are available"
    """

    def check(definition: AgentDefinition, reload: Reload) -> str | None:
        limit = definition.resource_limit
        if limit is None:
            return None
        amount = _AMOUNT.fullmatch(limit)
        if amount is None:
            return f"the resource limit {limit!r} is no amount such as 512mb"
        wanted = float(amount["number"]) * _UNITS[amount["unit"].lower()]
        if available is not None and wanted > (there := available()):
            return f"the resource limit {limit!r} is more than the {there:,} bytes that are available"
        return None

    return check


def tools_permitted(permitted: Iterable[str] | Callable[[str], bool]) -> Check:
    """A check of `tools`: each is among *permitted*, by its name or as written; saying nothing asks for all.

    A definition that says nothing fails unless ``"*"`` is permitted.

    >>> check = tools_permitted({"Read", "Bash(git log)"})
    >>> check(AgentDefinition("a", "b", tools=("Read", "Bash(rm *)")), Reload())
    "the tool 'Bash(rm *)' is not permitted"
    """
    names = permitted if callable(permitted) else frozenset(permitted)
    allows = names if callable(names) else lambda tool: not names.isdisjoint({tool, tool.partition("(")[0], "*"})

    def check(definition: AgentDefinition, reload: Reload) -> str | None:
        if definition.tools is None:
            return None if allows("*") else "it names no tools, which asks for all, and not all are permitted"
        refused = next((tool for tool in definition.tools if not allows(tool)), None)
        return None if refused is None else f"the tool {refused!r} is not permitted"

    return check


def mcp_servers_reachable(servers: Mapping[str, Mapping[str, Any]], timeout: float = 5.0) -> Check:
    """A check of `mcp_servers`: each is configured in *servers* and answers within *timeout* seconds.

    Needs the extra ``mcp``. Only servers that the program itself configures
    are asked: a definition may come from strangers, and a server's
    configuration is a command to run. A definition that is read at the
    catalog's first load is not held up by this.

    Args:
        servers: Name -> ``{"command": ..., "args": [...], "env": {...}}``, or ``{"url": ...}`` with ``"type"``
            ``"http"`` or ``"sse"`` and ``"headers"``.
        timeout: For each server.

    Raises:
        ModuleNotFoundError: the library is missing.
    """
    try:
        from agentreg.extensions.definitions.catalog.mcp_probe import trouble_with
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f'{error}; pip install "agentreg[mcp]"', name=error.name) from error

    def check(definition: AgentDefinition, reload: Reload) -> str | None:
        if reload.previous is None or not definition.mcp_servers:
            return None
        unknown = next((name for name in definition.mcp_servers if name not in servers), None)
        if unknown is not None:
            return f"the MCP server {unknown!r} is not configured"
        return trouble_with({name: servers[name] for name in definition.mcp_servers}, timeout)

    return check


_any_amount = resources_available()


@dataclass(frozen=True, slots=True)
class Checks:
    """The five, in the order in which they are made; the first that fails decides.

    By default nothing needs configuration: any tools and servers pass.

    Attributes:
        syntax: Of the definition by itself.
        resources: What it needs is there; see `resources_available`.
        mcp_servers: They answer; see `mcp_servers_reachable`.
        tools: The policy permits them; see `tools_permitted`.
        conflict: It stands in nobody's way.

    Example:
        >>> checks = Checks(tools=tools_permitted({"Read"}))
        >>> print(checks.problem_of(AgentDefinition("a", "b", tools=("Write",), file_path="a.md"), Reload()))
        a.md:1:1: the tool 'Write' is not permitted (the check of tools); change the definition, or what is checked
    """

    syntax: Check = well_formed
    resources: Check = _any_amount
    mcp_servers: Check | None = None
    tools: Check | None = None
    conflict: Check = no_conflict

    def problem_of(self, definition: AgentDefinition, reload: Reload) -> Problem | None:
        """Why *definition* may not come into force; None if it may."""
        for name, check in zip(_ORDER, _in_order(self), strict=True):
            trouble = None if check is None else _outcome(check, definition, reload)
            if trouble is not None:
                what = f"{trouble} (the check of {name})"
                return Problem(definition.file_path, 1, 1, what, "change the definition, or what is checked")
        return None


_ORDER = ("syntax", "resources", "mcp servers", "tools", "conflict")
_in_order = operator.attrgetter("syntax", "resources", "mcp_servers", "tools", "conflict")


def _outcome(check: Check, definition: AgentDefinition, reload: Reload) -> str | None:
    try:
        return check(definition, reload)
    except Exception as error:
        return f"the check itself failed: {type(error).__name__}: {error}"
