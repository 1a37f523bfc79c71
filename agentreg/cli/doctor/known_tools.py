"""Which tools definitions may name: those of Claude Code, or those that a policy permits."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from agentreg.cli.doctor.findings import Finding
from agentreg.demo.printable import counted
from agentreg.extensions.definitions import AgentDefinition

__all__ = ["BUILT_IN", "unknown_tools"]

# What Claude Code calls its tools, now or in earlier versions. In other families, tools have whatever names they bring.
_NAMES = """
Agent AskUserQuestion Bash BashOutput CronCreate CronDelete CronList Edit EnterPlanMode EnterWorktree ExitPlanMode
ExitWorktree Glob Grep KillBash KillShell LS LSP ListMcpResourcesTool Monitor MultiEdit NotebookEdit NotebookRead
PowerShell Read ReadMcpResourceTool SendMessage Skill SlashCommand Task TaskCreate TaskGet TaskList TaskOutput TaskStop
TaskUpdate TeamCreate TeamDelete TodoRead TodoWrite ToolSearch WebFetch WebSearch Write *
"""
BUILT_IN = frozenset(_NAMES.split())


def unknown_tools(definitions: Iterable[AgentDefinition], permitted: Collection[str] | None) -> list[Finding]:
    """The tools that are not among *permitted*, or are none that Claude Code knows, each with who names it."""
    by_tool: dict[str, list[AgentDefinition]] = {}
    for definition in definitions:
        for tool in dict.fromkeys(tool.partition("(")[0].strip() for tool in definition.tools or ()):
            if not _is_known(tool, definition, permitted):
                by_tool.setdefault(tool, []).append(definition)
    return [_finding(tool, by_tool[tool], permitted) for tool in sorted(by_tool)]


def _is_known(tool: str, definition: AgentDefinition, permitted: Collection[str] | None) -> bool:
    if permitted is not None:
        return tool in permitted or "*" in permitted
    return definition.family != "claude" or tool in BUILT_IN or tool.startswith("mcp__")


def _finding(tool: str, users: list[AgentDefinition], permitted: Collection[str] | None) -> Finding:
    who = ", ".join(f"{each.name} ({each.file_path})" for each in users[:3])
    more = f" and {counted(len(users) - 3, 'other')}" if len(users) > 3 else ""
    near = difflib.get_close_matches(tool, BUILT_IN if permitted is None else permitted, 1)
    if permitted is not None:
        what = f"the tool {tool!r} is not permitted, and {who}{more} would use it"
    else:
        what = f"no policy knows the tool {tool!r}: it is none of Claude Code's; {who}{more} would use it"
    fix = f"did you mean {near[0]!r}? Else" if near else "if it is meant"
    return Finding("warning", what, f"{fix} permit it: --permit {tool}, tools_permitted(...) in a program")
