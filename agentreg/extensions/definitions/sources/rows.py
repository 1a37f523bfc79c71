"""Definitions as rows of a document store: the whole markdown in one column, and what others say beside it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.problems import DefinitionError, NotAnAgent, Problem
from agentreg.extensions.definitions.reading.parsing import parse
from agentreg.extensions.definitions.reading.rendering import yaml_of

__all__ = ["COLUMNS", "columns_of", "digest_of", "parse_row", "to_row"]

COLUMNS = ("name", "description", "version", "tags", "model", "tools", "content", "source")
_BESIDE = ("name", "description", "version", "tags", "model", "tools")  # what the content may leave to the row
_HEADER = re.compile(r"\A\ufeff?---[ \t]*(?:\r\n|\n|\r)")


def parse_row(content: str, columns: Mapping[str, str] | None = None, path: str | None = None) -> AgentDefinition:
    """The definition in *content*; what its header does not say, *columns* says.

    The row's ``name`` wins even against the header's, with a warning. Of
    the other columns, ``description``, ``version``, ``tags``, ``model``
    and ``tools`` count where the header is silent, and are read as if they
    stood there. *path* stands in messages; it is ``registry://name`` unless
    given. The digest is that of *content*.

    Raises:
        DefinitionError: the content is malformed, and its row does not help.
        NotAnAgent: the content has no header.

    >>> row = {"name": "scout", "description": "Looks around", "model": "small"}
    >>> scout = parse_row("---\\nmodel: large\\n---\\nYou are a scout.", row)
    >>> scout.name, scout.description, scout.model
    ('scout', 'Looks around', 'large')
    """
    said = {key: value for key, value in (columns or {}).items() if key in _BESIDE and value.strip()}
    where = path or (f"registry://{said['name']}" if "name" in said else "<text>")
    _check_encoding(content, where)
    plain, error = _tried(content, where)
    silent = {key: value for key, value in said.items() if _is_silent(content, plain, key)}
    completed = _completed(content, silent, where) if silent else None
    definition = completed or plain
    if definition is None:
        assert error is not None
        raise error
    if plain is not None:
        definition = replace(definition, warnings=plain.warnings, digest=plain.digest)
    definition = _renamed(definition, said.get("name", definition.name), where)
    return replace(definition, source="registry", file_path=f"registry://{definition.name}")


def columns_of(row: Mapping[str, Any]) -> dict[str, str]:
    """The columns of *row* that may speak for its content, as text; lists become comma-separated.

    >>> columns_of({"_id": 7, "name": "scout", "tags": ["a", "b"], "model": None})
    {'name': 'scout', 'tags': 'a, b'}
    """
    return {key: _text(row[key]) for key in _BESIDE if row.get(key) is not None}


def to_row(definition: AgentDefinition, content: str) -> dict[str, str]:
    """The row that a document store keeps of *definition*: texts only, and no column for what it does not say."""
    tools = None if definition.tools is None else ", ".join(definition.tools)
    values = {
        "name": definition.name,
        "description": definition.description,
        "version": definition.version,
        "tags": ",".join(definition.tags) or None,
        "model": definition.model,
        "tools": tools,
        "content": content,
        "source": "registry",
    }
    return {key: value for key, value in values.items() if value is not None}


def digest_of(content: str) -> str:
    """The SHA-256 of the content's bytes in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(content.encode()).hexdigest()


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def _check_encoding(content: str, where: str) -> None:
    try:
        content.encode()
    except UnicodeEncodeError as error:
        line, column = content.count("\n", 0, error.start) + 1, error.start - content.rfind("\n", 0, error.start)
        message = f"the character U+{ord(content[error.start]):04X} is half of one"
        raise DefinitionError(Problem(where, line, column, message, "write the whole character")) from error


def _tried(content: str, where: str) -> tuple[AgentDefinition | None, Exception | None]:
    try:
        return parse(content.encode(), path=where, source="registry"), None
    except (DefinitionError, NotAnAgent) as error:
        return None, error


def _is_silent(content: str, plain: AgentDefinition | None, key: str) -> bool:
    if plain is not None:
        return getattr(plain, key) in (None, (), "") and not (key == "tools" and plain.tools is not None)
    return not re.search(rf"^{key}[ \t]*:[ \t]*\S", content, re.MULTILINE)


def _completed(content: str, silent: Mapping[str, str], where: str) -> AgentDefinition | None:
    """The definition with lines for *silent* at the top of the header: what the header says itself counts more."""
    begin = _HEADER.match(content)
    if begin is None:
        return None
    lines = "".join(f"{key}: {yaml_of(value)}\n" for key, value in silent.items())
    definition, _ = _tried(content[: begin.end()] + lines + content[begin.end() :], where)
    if definition is None:
        return None
    warnings = tuple(_shifted(warning, len(silent)) for warning in definition.warnings)
    return replace(definition, warnings=warnings, digest=digest_of(content))


def _shifted(warning: Problem, lines: int) -> Problem:
    return replace(warning, line=max(1, warning.line - lines))


def _renamed(definition: AgentDefinition, name: str, where: str) -> AgentDefinition:
    if name == definition.name:
        return definition
    message = f"the header names it {definition.name!r}, its row {name!r}"
    warning = Problem(where, 1, 1, message, "the row's name counts; write the same in both", "warning")
    return replace(definition, name=name, warnings=(*definition.warnings, warning))
