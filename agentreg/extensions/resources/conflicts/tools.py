"""Permissions for tools: which one is narrower, what two of them have in common, and what is left of many.

The forms are those of Claude Code: ``Bash`` (the whole tool), ``Bash(git
log)`` (exactly this), ``Bash(git:*)`` or ``Bash(git *)`` (what begins with
this word), ``Read(src/**)`` (paths), ``mcp__server`` or ``mcp__server__*``
(every tool of a server), ``mcp__server__tool``, and ``*`` (everything).

In doubt less is granted: a pattern counts as narrower only when it is
certain that everything it allows is allowed by the other.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from typing_extensions import Self

__all__ = ["ToolGrant", "ToolPattern", "narrow_tools"]

_FORM = re.compile(r"(?P<name>[^()\s]+)(?:\((?P<detail>.*)\))?", re.DOTALL)
_MANY = {"agent", "task"}  # Agent(a, b) means either
_ALL = {"", "*", "**", ":*"}
_SHELLS = {"bash", "shell", "powershell"}
_OPERATORS = re.compile(r"[;&|`\n<>]|\$\(")


@dataclass(frozen=True)
class ToolPattern:
    """One permission, read.

    Attributes:
        name: The tool, ``mcp__server`` for all of a server's, or ``*``.
        detail: What stands in brackets; None for the whole tool.

    >>> ToolPattern.parse("Bash(git:*)")
    ToolPattern(name='Bash', detail='git:*')
    >>> str(ToolPattern.parse("mcp__github__*"))
    'mcp__github'
    """

    name: str
    detail: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The permission that *text* is.

        Raises:
            ValueError: it is no tool's name, with or without something in brackets.
        """
        form = _FORM.fullmatch(text.strip())
        if form is None:
            raise ValueError(f"tool: expected a form like Bash, Bash(git:*) or mcp__server__tool, got {text!r}")
        name, detail = form["name"], form["detail"]
        if name.startswith("mcp__") and name.endswith("__*") and name.count("__") > 1:
            name = name[: -len("__*")]
        return cls(name, None if detail is None or detail.strip() in _ALL else detail.strip())

    def __str__(self) -> str:
        return self.name if self.detail is None else f"{self.name}({self.detail})"

    def covers(self, other: ToolPattern) -> bool:
        """Whether everything that *other* allows is certainly allowed by this one.

        >>> ToolPattern.parse("Bash(git:*)").covers(ToolPattern.parse("Bash(git push origin)"))
        True
        >>> ToolPattern.parse("Bash(git:*)").covers(ToolPattern.parse("Bash(gitk)"))
        False
        """
        return _covers_name(self.name, other.name) and _covers_detail(self, other)

    def folded(self) -> ToolPattern:
        """The same with the tool's name in lower case: a denial holds whatever the case.

        >>> ToolPattern("BASH", "Git").folded()
        ToolPattern(name='bash', detail='Git')
        """
        return ToolPattern(self.name.casefold(), self.detail)


@dataclass(frozen=True)
class ToolGrant:
    """What is left of the tools that were asked for.

    Attributes:
        granted: What may be used, in the order asked for; None for everything.
        denied: What may not be used although something wider is granted; to be enforced with it.
        narrowed: As asked for -> the narrower forms in its place.
        taken: As asked for -> who took it away altogether.
    """

    granted: tuple[str, ...] | None
    denied: tuple[str, ...]
    narrowed: Mapping[str, tuple[str, ...]]
    taken: Mapping[str, tuple[str, ...]]

    @property
    def changed(self) -> bool:
        """Whether less is granted than was asked for."""
        return bool(self.narrowed or self.taken)

    def left_of(self, tool: str) -> bool:
        """Whether something of *tool*, as asked for, is left."""
        return tool not in self.taken

    def told(self) -> str:
        """What was taken away and narrowed, and by whom, in a sentence."""
        parts = [f"{tool} was taken away by {' and '.join(by)}" for tool, by in self.taken.items()]
        parts += [f"{tool} was narrowed to {', '.join(to)}" for tool, to in self.narrowed.items()]
        return "; ".join(parts)


def narrow_tools(
    asked: Iterable[str] | None,
    allowed: Mapping[str, Iterable[str] | None],
    denied: Mapping[str, Iterable[str]] | None = None,
) -> ToolGrant:
    """The least that everybody agrees on: what is *asked* for, *allowed* by each, and *denied* by none.

    *asked* is None for everything that is allowed. *allowed* and *denied*
    map who says it (``"policy"``, ``"parent"``) to permissions; None in
    *allowed* is no opinion. A denial takes away what lies within it. What is
    wider than a denial stays, and the denial with it, in ``denied``. Names
    of tools are compared as written, but for denials, where case does not
    matter.

    >>> grant = narrow_tools(["Read", "Bash", "Write"], {"policy": ["Read", "Bash(git:*)"]})
    >>> grant.granted
    ('Read', 'Bash(git:*)')
    >>> grant.told()
    'Write was taken away by policy; Bash was narrowed to Bash(git:*)'

    Raises:
        ValueError: a permission is malformed.
    """
    denials = {who: _patterns(tools) for who, tools in (denied or {}).items()}
    permits = {who: _patterns(tools) for who, tools in allowed.items() if tools is not None}
    lefts = {tool: _left(tool, permits, denials) for tool in (("*",) if asked is None else asked)}
    kept = _without_covered([pattern for left, _ in lefts.values() for pattern in left])
    everything = asked is None and ToolPattern("*") in kept
    return ToolGrant(
        granted=None if everything else tuple(map(str, kept)),
        denied=tuple(
            dict.fromkeys(str(_spelled(d, kept)) for ds in denials.values() for d in ds if _cuts_into(d, kept))
        ),
        narrowed={} if asked is None else {t: tuple(map(str, ps)) for t, (ps, by) in lefts.items() if ps and by},
        taken={tool: tuple(by) for tool, (patterns, by) in lefts.items() if not patterns},
    )


def _left(
    tool: str, permits: Mapping[str, list[ToolPattern]], denials: Mapping[str, list[ToolPattern]]
) -> tuple[list[ToolPattern], list[str]]:
    """What is left of one that was asked for, and who made it less."""
    left, by = _patterns([tool]), []
    for who, permitted in permits.items():
        before, left = left, _without_covered([m for each in left for p in permitted for m in _meet(each, p)])
        if set(left) != set(before):
            by.append(who)
    for who, refused in denials.items():
        before, left = left, [each for each in left if not _within(each, refused)]
        if left != before:
            by.append(who)
    return left, by


def _patterns(tools: Iterable[str]) -> list[ToolPattern]:
    found: list[ToolPattern] = []
    for text in tools:
        pattern = ToolPattern.parse(text)
        if pattern.detail is not None and pattern.name.lower() in _MANY:
            found += [ToolPattern(pattern.name, part.strip()) for part in pattern.detail.split(",") if part.strip()]
        else:
            found.append(pattern)
    return found


def _meet(one: ToolPattern, other: ToolPattern) -> list[ToolPattern]:
    if other.covers(one):
        return [one]
    return [other] if one.covers(other) else []


def _without_covered(patterns: list[ToolPattern]) -> list[ToolPattern]:
    patterns = list(dict.fromkeys(patterns))
    return [
        each
        for place, each in enumerate(patterns)
        if not any(
            other.covers(each) and (not each.covers(other) or before < place)
            for before, other in enumerate(patterns)
            if before != place
        )
    ]


def _within(pattern: ToolPattern, denials: list[ToolPattern]) -> bool:
    folded = pattern.folded()
    return any(denial.covers(folded) or _same_server(denial, folded) for denial in map(ToolPattern.folded, denials))


def _same_server(denial: ToolPattern, pattern: ToolPattern) -> bool:
    # a server's name may hold "__", too: for a denial, whatever begins with it is meant
    return denial.name.startswith("mcp__") and denial.detail is None and pattern.name.startswith(f"{denial.name}__")


def _cuts_into(denial: ToolPattern, kept: list[ToolPattern]) -> bool:
    return any(_may_overlap(denial.folded().name, each.folded().name) for each in kept)


def _spelled(denial: ToolPattern, kept: list[ToolPattern]) -> ToolPattern:
    """The denial with the name as the granted tool has it: whoever enforces it may compare as written."""
    names = {each.name.casefold(): each.name for each in kept}
    return ToolPattern(names.get(denial.name.casefold(), denial.name), denial.detail)


def _may_overlap(one: str, other: str) -> bool:
    return "*" in one + other or one == other or one.startswith(f"{other}__") or other.startswith(f"{one}__")


def _covers_name(wide: str, narrow: str) -> bool:
    if wide == narrow or wide == "*":
        return True
    if wide.startswith("mcp__") and wide.count("__") == 1 and narrow.startswith(f"{wide}__"):
        return True
    return "*" in wide and _glob(wide, ".*").fullmatch(narrow.replace("*", "\0")) is not None


def _covers_detail(wide: ToolPattern, narrow: ToolPattern) -> bool:
    if wide.detail is None or wide.detail == narrow.detail:
        return True
    if narrow.detail is None:
        return False
    if wide.name.lower() in _SHELLS:
        return _covers_command(wide.detail, narrow.detail)
    # a star in the narrower one must be taken up by one of the wider: those of "**" may stand for a slash
    text = narrow.detail.replace("**", "\0/\0").replace("*", "\0").replace("?", "\0")
    return _glob(wide.detail, "[^/]*").fullmatch(text) is not None


def _covers_command(wide: str, narrow: str) -> bool:
    if _OPERATORS.search(narrow):  # "git log; rm -r ." begins with git, and is more than that
        return False
    forms = [text.replace("*", "\0") for text in _forms(narrow)]
    patterns = [_glob(text, ".*") for text in _forms(wide)]
    return all(any(pattern.fullmatch(form) for pattern in patterns) for form in forms)


def _forms(command: str) -> list[str]:
    """``git:*`` and ``git *`` are ``git`` alone, or with more behind it."""
    if command.endswith((":*", " *")):
        return [command[:-2], f"{command[:-2]} *"]
    return [command]


@functools.lru_cache(maxsize=1024)
def _glob(pattern: str, star: str) -> re.Pattern[str]:
    parts = re.split(r"(\*+)", pattern)
    text = "".join((star if part == "*" else ".*") if part.startswith("*") else re.escape(part) for part in parts)
    return re.compile(text, re.DOTALL)
