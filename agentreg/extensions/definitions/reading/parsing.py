"""Bytes to a definition: a pure function, without a file system."""

from __future__ import annotations

import hashlib

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.families import FAMILIES, Family
from agentreg.extensions.definitions.problems import Reporter
from agentreg.extensions.definitions.reading.building import fields_of
from agentreg.extensions.definitions.reading.decoding import decode
from agentreg.extensions.definitions.reading.entries import Entry
from agentreg.extensions.definitions.reading.header import split
from agentreg.extensions.definitions.reading.line_reader import read_lines
from agentreg.extensions.definitions.reading.toml_reader import read_toml
from agentreg.extensions.definitions.reading.yaml_reader import Trouble, read_yaml

__all__ = ["parse"]


def parse(data: bytes | str, *, path: str = "<text>", family: str = "claude", source: str = "") -> AgentDefinition:
    """The definition that *data* is.

    Pure: it reads no file, and takes time in proportion to the length.

    Args:
        data: The bytes of a file, or its text.
        path: Where it came from, for messages; its end (``.agent.md``) and its stem may give the name.
        family: Whose format it is: a key of ``FAMILIES``.
        source: What the definition's `source` is to be.

    Raises:
        DefinitionError: something in it is wrong.
        NotAnAgent: it is no definition at all, such as a README.
        ValueError: there is no such family.

    Example:
        >>> scout = parse("---\\nname: scout\\ndescription: Looks around\\ntools: Read, Grep\\n---\\nYou are a scout.")
        >>> scout.name, scout.tools, scout.body
        ('scout', ('Read', 'Grep'), 'You are a scout.')
        >>> parse("---\\nname: scout\\n---\\n", path="scout.md")
        Traceback (most recent call last):
        agentreg.extensions.definitions.problems.DefinitionError: scout.md:2:1: the description is missing; add \
description: ...: when to use it
    """
    row = _family(family)
    reporter = Reporter(path)
    text = decode(data, reporter)
    entries, body, body_line = _from_toml(text, reporter) if row.form == "toml" else _from_markdown(text, reporter)
    fields = fields_of(entries, row, reporter)
    if not body:
        reporter.warn(body_line, 1, "the body is empty: the agent has no instruction", "write one below the header")
    return AgentDefinition(
        **fields,
        body=body,
        source=source,
        file_path=path,
        digest=hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest(),
        warnings=tuple(reporter.warnings),
        family=row.name,
        kind=row.kind,
    )


def _family(name: str) -> Family:
    try:
        return FAMILIES[name]
    except KeyError:
        known = ", ".join(map(repr, FAMILIES))
        raise ValueError(f"there is no family {name!r}; the families are {known}") from None


def _from_markdown(text: str, reporter: Reporter) -> tuple[list[Entry], str, int]:
    header = split(text, reporter)
    return _entries(header.text, reporter), header.body, header.body_line


def _entries(header: str, reporter: Reporter) -> list[Entry]:
    try:
        entries = read_yaml(header, reporter)
    except Trouble as trouble:
        return read_lines(header, trouble, reporter)
    if entries is None:
        what = "what stands between the two --- is no mapping of keys to values: not an agent"
        raise reporter.no_agent(2, 1, what, "to make it one, write name: ... there", "warning")
    return entries


def _from_toml(text: str, reporter: Reporter) -> tuple[list[Entry], str, int]:
    entries = read_toml(text, reporter)
    told = next((entry for entry in entries if entry.key == "developer_instructions"), None)
    if told is None or not isinstance(told.value, str):
        place = (told.line, told.column) if told else (1, 1)
        what = "'developer_instructions' is no text" if told else "'developer_instructions' is missing"
        raise reporter.error(*place, what, 'write developer_instructions = """..."""')
    entries.remove(told)
    return entries, told.value.strip(), told.line
