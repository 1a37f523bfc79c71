"""What ``agentreg definitions list``, ``search``, ``show`` and ``check`` do."""

from __future__ import annotations

import argparse
import os
import shlex
from collections import Counter
from collections.abc import Iterator

from agentreg.cli.definitions.places import catalog_of, not_stored, reading_store
from agentreg.cli.errors import DONE, REFUSED, CommandError
from agentreg.cli.printing import note, one_line, printable_line, say, say_document, say_table, shortened
from agentreg.demo.printable import counted
from agentreg.extensions.definitions import (
    FAMILIES,
    AgentDefinition,
    Catalog,
    DefinitionNotFoundError,
    Problem,
    StoredDefinition,
)
from agentreg.extensions.definitions.sources.linting import check_paths

__all__ = ["check", "list_all", "search", "show"]

HEAD = ("name", "description", "source", "tools", "model", "path")


def list_all(arguments: argparse.Namespace) -> int:
    """The definitions that fit the options, sorted by name."""
    catalog = catalog_of(arguments)
    asked = {"tags": arguments.tag, "text": arguments.text, "tool": arguments.tool, "model": arguments.model}
    _print(catalog, catalog.find(**asked), arguments.json)
    return DONE


def search(arguments: argparse.Namespace) -> int:
    """The definitions that speak of a text, sorted by name."""
    catalog = catalog_of(arguments)
    _print(catalog, catalog.find(text=arguments.text), arguments.json)
    return DONE


def _print(catalog: Catalog, found: list[AgentDefinition], as_json: bool) -> None:
    if as_json:
        say_document({"definitions": [each.to_dict() for each in found], "count": len(found)})
    elif found:
        say_table(HEAD, map(_row, found))
    else:
        note("nothing was found; agentreg doctor definitions says where was looked")
    _note_what_is_missing(catalog)


def _row(definition: AgentDefinition) -> tuple[str, ...]:
    tools = "all" if definition.tools is None else ", ".join(definition.tools) or "none"
    name, model = one_line(definition.name), one_line(definition.model or "")
    return name, shortened(definition.description), definition.source, shortened(tools, 30), model, definition.file_path


def _note_what_is_missing(catalog: Catalog) -> None:
    refused = sum(problem.severity == "error" for problem in catalog.problems())
    unreachable = [status.name for status in catalog.sources() if not status.reachable]
    reasons = [f"{counted(refused, 'file')} refused"] if refused else []
    reasons += [f"{name} can't be read" for name in unreachable]
    if reasons:
        note(f"left out: {', '.join(reasons)}; agentreg doctor definitions says why")


# -- show -------------------------------------------------------------------


def show(arguments: argparse.Namespace) -> int:
    """One definition: that which counts, or a version from the store."""
    if arguments.version is not None:
        return _show_version(arguments)
    catalog = catalog_of(arguments)
    definition = catalog.get(arguments.name) or _template(catalog, arguments.name)
    if arguments.json:
        say_document(definition.to_dict())
    else:
        _print_definition(definition, {})
    return DONE


def _template(catalog: Catalog, name: str) -> AgentDefinition:
    found = next((each for each in catalog.templates() if each.name == name), None)
    if found is not None:
        return found
    try:
        return catalog.require(name)
    except DefinitionNotFoundError as error:
        near = (
            f"the nearest names are {', '.join(map(repr, error.nearest))}" if error.nearest else "nor anything like it"
        )
        why = f"agentreg doctor definitions --name {shlex.quote(name)} says why"
        raise CommandError(one_line(f"no definition is named {name!r}; {near}; {why}")) from error


def _show_version(arguments: argparse.Namespace) -> int:
    with reading_store(arguments.store) as store:
        stored = store.get(arguments.name, arguments.version)
        if stored is None:
            raise not_stored(store, arguments.name, arguments.version)
    if arguments.json:
        say_document({**stored.definition.to_dict(), **_stored(stored)})
    else:
        _print_definition(stored.definition, _stored(stored))
    return DONE


def _stored(stored: StoredDefinition) -> dict[str, object]:
    document = stored.document()
    kept = {key: document[key] for key in ("status", "store_version", "created_at", "content")}
    return {**kept, "change": stored.change, "restores": stored.restores}


def _print_definition(definition: AgentDefinition, stored: dict[str, object]) -> None:
    told = {**definition.to_dict(), **stored}
    warnings, body = told.pop("warnings"), told.pop("body")
    told.pop("content", None)
    metadata = told.pop("metadata")
    told["tools"] = "all" if definition.tools is None else list(definition.tools) or "none"
    rows = {**told, **metadata}
    rows = {key: _cell(value) for key, value in rows.items() if value not in (None, "", [], {})}
    wide = max(map(len, map(one_line, rows)))
    for key, value in rows.items():
        say(f"{one_line(key):{wide}}  {value}")
    for warning in definition.warnings if warnings else ():
        say(f"{'warning':{wide}}  {one_line(str(warning))}")
    say()
    for line in body.split("\n"):
        say(printable_line(line))


def _cell(value: object) -> str:
    return one_line(", ".join(map(str, value)) if isinstance(value, list) else str(value))


# -- check ------------------------------------------------------------------


def check(arguments: argparse.Namespace) -> int:
    """Every problem in some paths, by path; 1 if one of them is an error."""
    problems = check_paths([*arguments.paths, *_kept_in_projects(arguments.paths)])
    counts = Counter(problem.severity for problem in problems)
    shown = [problem for problem in problems if not arguments.quiet or problem.severity == "error"]
    if arguments.json:
        say_document({"problems": [problem.to_dict() for problem in shown], "errors": counts["error"]})
    else:
        _print_problems(shown)
    if not counts["error"]:
        return DONE
    note(f"{arguments.prog}: {counted(counts['error'], 'error')}, {counted(counts['warning'], 'warning')}")
    return REFUSED


def _kept_in_projects(paths: list[str]) -> Iterator[str]:
    """The folders of the families in those of *paths*, however far below: they begin with a dot, and are not walked."""
    heads = {family.project.split("/")[0] for family in FAMILIES.values()}
    for path in filter(os.path.isdir, paths):
        for project, folders, _ in os.walk(path):
            if heads.intersection(folders):
                yield from _kept_in(project)
            folders[:] = [name for name in folders if not name.startswith(".") and name != "node_modules"]


def _kept_in(project: str) -> Iterator[str]:
    for family in FAMILIES.values():
        folder = os.path.join(project, *family.project.split("/"))
        if os.path.isdir(folder):
            yield folder


def _print_problems(problems: list[Problem]) -> None:
    for problem in problems:
        say(one_line(str(problem)))
    if not problems:
        say("no problems were found")
