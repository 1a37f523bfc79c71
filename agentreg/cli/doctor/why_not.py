"""Why is my agent not there? The doctor's answer for one name."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentreg import RegistryError
from agentreg.cli.doctor.findings import Finding
from agentreg.extensions.definitions import AgentDefinition, Catalog, Problem, discover

if TYPE_CHECKING:
    from agentreg.cli.doctor.look import Look

__all__ = ["why_not"]

BEGINNING = 64 * 1024  # bytes of a file in which its name is looked for


def why_not(name: str, look: Look) -> list[Finding]:
    """That the definition *name* is there, and where; or every reason that can be found why it is not."""
    definition = look.catalog.get(name)
    if definition is not None:
        return [_there(definition), *_hidden(name, look.catalog)]
    missing = Finding("error", f"no agent is defined by the name {name!r}", "see the reasons below")
    wrong = [finding for finding in look.findings if finding.level == "error"]
    reasons = [*wrong, *_reasons(name, look)]
    return [missing, *reasons] if reasons else [_nowhere(name, look)]


def _there(definition: AgentDefinition) -> Finding:
    return Finding("note", f"{definition.name!r} is there: {definition.file_path} (source {definition.source})")


def _hidden(name: str, catalog: Catalog) -> Iterator[Finding]:
    for shadow in catalog.shadowed():
        if shadow.name == name:
            what = (
                f"the one of {shadow.loser.file_path} is hidden by that of {shadow.winner.file_path}: {shadow.reason}"
            )
            yield Finding("warning", what, "give one of them another name, or remove the one that is not meant")


def _reasons(name: str, look: Look) -> Iterator[Finding]:
    yield from _template(name, look)
    yield from _left_out(name, look)
    yield from _above(name, look)
    yield from _refused(name, look)
    yield from _named_otherwise(name, look)
    yield from _removed(name, look)
    yield from _not_looked_at(name, look)
    for status in look.catalog.sources():
        if not status.reachable:
            yield Finding("error", f"{status.name} can't be read, and may have it: {status.cause}", "see to that")


def _template(name: str, look: Look) -> Iterator[Finding]:
    for each in look.catalog.templates():
        if each.name == name:
            what = f"{each.file_path} is a template: it is cloned, and never listed as an agent"
            yield Finding(
                "error", what, f"catalog.clone({name!r}, ...) makes an agent of it; or move it to .claude/agents"
            )


def _left_out(name: str, look: Look) -> Iterator[Finding]:
    if look.scope != "both":
        found = look.in_other_scopes().get(name)
        if found is not None:
            yield Finding(
                "error", f"--scope {look.scope} leaves it out: it is in {found.file_path}", "use --scope both"
            )


def _above(name: str, look: Look) -> Iterator[Finding]:
    for folder in dict.fromkeys(folder for folder, _ in look.above()):
        found = Catalog(discover(folder, scope="project")).get(name)
        if found is not None:
            yield Finding("error", f"it is in a folder above the project: {found.file_path}", f"use --project {folder}")


def _refused(name: str, look: Look) -> Iterator[Finding]:
    catalog = look.in_other_scopes()
    loaded = {each.file_path for each in catalog.all()}
    for problem in catalog.problems():
        if problem.path not in loaded and (_stem(problem.path) == name or name in _names_in(problem.path)):
            yield Finding("error", _told(problem), problem.remedy)


def _told(problem: Problem) -> str:
    where = f"{problem.path}:{problem.line}:{problem.column}"
    if problem.severity == "information":
        return f"{where} is no agent: {problem.message}"
    return f"refused in {where}: {problem.message}"


def _named_otherwise(name: str, look: Look) -> Iterator[Finding]:
    for each in look.catalog.all():
        if _stem(each.file_path) == name:
            what = f"the file {each.file_path} is called so, but what it defines is {each.name!r}"
            yield Finding("error", what, f"write name: {name} in its header, or ask for {each.name!r}")


def _removed(name: str, look: Look) -> Iterator[Finding]:
    if look.store is None:
        return
    try:
        versions = look.store.history(name)
    except RegistryError:
        return  # said of the source
    if versions:
        last = versions[-1].version
        fix = f"agentreg definitions rollback {shlex.quote(name)} {last} brings it back"
        yield Finding("error", f"it was removed from the store after version {last}", fix)


def _not_looked_at(name: str, look: Look) -> Iterator[Finding]:
    for path, reason, fix in look.not_looked_at():
        if _stem(path).lstrip("._") == name or name in _names_in(path):
            yield Finding("error", f"{path} is not looked at: {reason}", fix)


def _nowhere(name: str, look: Look) -> Finding:
    names = [each.name for each in (*look.catalog.all(), *look.catalog.templates())]
    near = difflib.get_close_matches(name, names, 3) or [each for each in names if each.casefold() == name.casefold()]
    what = f"{name!r} was found nowhere: neither in the places above, nor in a file that was refused"
    if near:
        return Finding("error", what, f"did you mean {' or '.join(map(repr, near))}?")
    return Finding("error", what, "put it into one of these places, or name its folder with --project or --home")


def _stem(path: str) -> str:
    """
    >>> _stem("work/scout.agent.md")
    'scout'
    """
    return re.sub(r"(\.agent|\.chatmode)?\.\w+$", "", os.path.basename(path))


def _names_in(path: str) -> set[str]:
    """What stands behind a ``name:`` at the beginning of a line, as far as it can be read."""
    try:
        with open(path, "rb") as file:
            text = file.read(BEGINNING).decode(errors="replace")
    except (OSError, ValueError):
        return set()
    found = re.finditer(r"""^[ \t]*["']?name["']?[ \t]*[:=][ \t]*(.*?)[ \t\r]*$""", text, re.MULTILINE)
    return {match[1].strip("\"'") for match in found}
