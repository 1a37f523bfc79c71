"""AgentDefinition: a recipe for an agent, as it was read."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from agentreg.extensions.definitions.problems import Problem

__all__ = ["AgentDefinition", "Kind"]

Kind = Literal["agent", "template"]


@dataclass(frozen=True, slots=True)
class AgentDefinition:
    """What a file, a row of a store or a server says about an agent.

    Immutable, but for what lies in `metadata`, which nobody should change. Equal when everything is equal.

    Attributes:
        name: What it is called. It may hold characters that no path may: never build a path from it.
        description: When to use it.
        tools: What it may use, as written; None when nothing is said (all), empty when it may use none.
        disallowed_tools: What it may not use, as written.
        model: The model's name; None when nothing is said. A list of models stays in `metadata`.
        color: How it is shown.
        version: As written: ``1.10`` stays ``"1.10"``.
        tags: What it is about.
        priority: A whole number where one is written (``8``), else the text (``"high"``).
        mcp_servers: The names of the servers that it uses; what else is said about them is in `metadata`.
        resource_limit: As written, for example ``"1024mb"``.
        conflict_resolution: As written, for example ``"merge"``.
        specialization: As written.
        body: The text below the header, with ``\\n`` at the line ends and no blank lines around it.
        metadata: Every other key of the header, as written: texts, lists and dicts.
        source: Where it came from: ``"user"``, ``"project"``, ``"registry"``, or a source's name.
        file_path: The file, or ``registry://name``.
        digest: SHA-256 of the bytes that were read, in hexadecimal.
        warnings: What may not be as it was meant.
        family: Whose format it is: a row of `agentreg.extensions.definitions.families`.
        kind: ``"agent"``, or ``"template"`` for one that is only cloned.

    Example:
        >>> AgentDefinition("scout", "Looks around", tools=("Read",)).to_dict()["tools"]
        ['Read']
    """

    name: str
    description: str
    tools: tuple[str, ...] | None = None
    disallowed_tools: tuple[str, ...] = ()
    model: str | None = None
    color: str | None = None
    version: str | None = None
    tags: tuple[str, ...] = ()
    priority: int | str | None = None
    mcp_servers: tuple[str, ...] = ()
    resource_limit: str | None = None
    conflict_resolution: str | None = None
    specialization: str | None = None
    body: str = field(default="", repr=False)
    metadata: dict[str, Any] = field(default_factory=dict, repr=False)
    source: str = ""
    file_path: str = ""
    digest: str = field(default="", repr=False)
    warnings: tuple[Problem, ...] = field(default=(), repr=False)
    family: str = "claude"
    kind: Kind = "agent"

    def __hash__(self) -> int:
        return hash((self.name, self.file_path, self.digest))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON: tuples are lists, warnings are objects."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}

    def allows(self, tool: str) -> bool:
        """Whether it may use *tool*, by the tool's name alone: ``Bash`` is allowed by ``Bash(git push *)``.

        >>> AgentDefinition("scout", "", tools=("Read", "Bash(git log)")).allows("Bash")
        True
        >>> AgentDefinition("scout", "", disallowed_tools=("Bash",)).allows("Bash")
        False
        """
        if tool in self.disallowed_tools:
            return False
        return self.tools is None or any(entry in (tool, "*") or entry.startswith(f"{tool}(") for entry in self.tools)


def _plain(value: Any) -> Any:
    if isinstance(value, Problem):
        return value.to_dict()
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
