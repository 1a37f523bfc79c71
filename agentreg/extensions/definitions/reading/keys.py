"""The keys of a header: which there are, and which field each of them means."""

from __future__ import annotations

import re

__all__ = ["FIELDS", "KNOWN", "PROSE", "RESTRICTING", "SWALLOWED", "meant"]

_SPELLINGS: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "description": ("description",),
    "tools": ("tools",),
    "disallowed_tools": ("disallowed_tools", "disallowedTools", "disallowed-tools"),
    "model": ("model",),
    "color": ("color",),
    "version": ("version",),
    "tags": ("tags",),
    "priority": ("priority",),
    "mcp_servers": ("mcp_servers", "mcpServers", "mcp-servers"),
    "resource_limit": ("resource_limit", "resourceLimit", "resource-limit"),
    "conflict_resolution": ("conflict_resolution", "conflictResolution", "conflict-resolution"),
    "specialization": ("specialization",),
}
# a key as it is written -> the field of AgentDefinition
FIELDS = {spelling: field for field, spellings in _SPELLINGS.items() for spelling in spellings}

# further keys that some family documents: they open a field for the line parser, and are kept in the metadata
KNOWN = FIELDS.keys() | {
    *("permissionMode", "permission_mode", "permission-mode", "maxTurns", "skills", "hooks", "memory", "background"),
    *("effort", "isolation", "initialPrompt", "allowed-tools", "allowedTools", "allowed_tools", "argument-hint"),
    *("target", "handoffs", "infer", "agents", "user-invocable", "user-invokable", "disable-model-invocation"),
    *("kind", "temperature", "max_turns", "timeout_mins", "mode", "top_p", "permission", "steps", "maxSteps"),
    *("thinking", "defaultReads", "defaultProgress", "defaultContext", "systemPromptMode", "inheritProjectContext"),
    *("inheritSkills", "fallbackModels", "maxSubagentDepth"),
}
PROSE = frozenset({"name", "description"})

# what takes rights away: it must never be lost in the text of another field
RESTRICTING = frozenset(
    {"tools", "permissionMode", "permission_mode", "permission-mode"}
    | {spelling for spelling, field in FIELDS.items() if field == "disallowed_tools"}
)
SWALLOWED = re.compile(rf"\s+(?:-\s+)*[\"']?({'|'.join(sorted(RESTRICTING))})[\"']?\s*:")

_MEANT = {re.sub("[-_]", "", key).lower(): key for key in sorted(KNOWN)}


def meant(key: str) -> str | None:
    """The known key that an unknown one differs from only in case or separators.

    >>> meant("Tools"), meant("tool")
    ('tools', None)
    """
    return None if key in KNOWN else _MEANT.get(re.sub("[-_ ]", "", key).lower())
