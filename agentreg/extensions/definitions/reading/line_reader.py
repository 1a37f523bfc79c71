"""A header that is no YAML, read line by line.

People write prose behind ``description:`` without quoting it, with colons,
quotes and whole conversations in it. So a known key at the very start of a
line opens a field, and every other line belongs to the one before. Each
field is then tried as YAML by itself, so that lists, quotes and block
scalars mean what they usually mean, and is a plain text where it is none.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from typing import Any

from agentreg.extensions.definitions.problems import Reporter
from agentreg.extensions.definitions.reading.entries import Entry
from agentreg.extensions.definitions.reading.header import FIRST_LINE
from agentreg.extensions.definitions.reading.keys import KNOWN, PROSE, RESTRICTING, SWALLOWED
from agentreg.extensions.definitions.reading.yaml_reader import Trouble, read_yaml

__all__ = ["read_lines"]

_BREAK = re.compile("[\n\x85\u2028\u2029]")  # all that YAML takes for the end of a line
_KEY = re.compile(r"(?P<quote>[\"']?)(?P<key>[A-Za-z][\w-]*)(?P=quote)[ \t]*:")
_BLOCK = re.compile(r"[ \t]*(?P<style>[|>])(?:[+-]?(?P<indent>[1-9])?[+-]?)[ \t]*(?:#.*)?")
_PLACES = "quote the value that holds it, or indent it below a | or > as a block"


@dataclass
class _Field:
    """The lines of one field; the first stands behind its key."""

    key: str
    line: int
    first: str
    lines: list[str] = field(default_factory=list)
    block: str = ""  # | or >
    indent: int = 0  # of the block, once its first line was seen
    in_block: bool = False

    def takes(self, line: str) -> bool:
        """Whether *line* is one of the block's."""
        if self.in_block and line.strip():
            width = len(line) - len(line.lstrip(" "))
            self.indent = self.indent or width
            self.in_block = 0 < self.indent <= width
        return self.in_block


def read_lines(text: str, trouble: Trouble, reporter: Reporter) -> list[Entry]:
    """The entries of *text*, which strict YAML refused for *trouble*; each key comes once.

    Raises:
        DefinitionError: an indented ``tools``, or another key that takes rights away, would be lost in a field's text,
            or such a key comes twice.
    """
    reporter.warn(
        trouble.line,
        trouble.column,
        f"the header is no valid YAML ({trouble.reason}); it was read line by line",
        "quote the value in that place, or write it below a | or > as a block",
    )
    entries: list[Entry] = []
    for each in _fields(text, reporter):
        entries += _entries(each, reporter)
    return list({entry.key: entry for entry in reversed(entries)}.values())[::-1]


def _fields(text: str, reporter: Reporter) -> list[_Field]:
    """The fields in their order; of those with one key the last, for a name or a description the first."""
    current = _Field("", FIRST_LINE, "")  # what stands before the first known key
    fields = {"": current}
    repeated: set[str] = set()
    dropping = False
    for number, line in enumerate(_BREAK.split(text), FIRST_LINE):
        if not line or current.takes(line):
            current.lines.append(line)
            continue
        opening = _KEY.match(line)
        key = opening["key"] if opening and opening["key"] in KNOWN else ""
        if key in fields and key and key not in repeated:
            _tell_of_repetition(key, fields[key].line, number, reporter)
            repeated.add(key)
        if opening and key and not (key in PROSE and key in fields):
            fields.pop(key, None)
            current = fields[key] = _opened(key, number, line[opening.end() :])
            dropping = False
            continue
        _refuse_swallowed(line, number, current, reporter)
        if key:
            dropping = current.key not in PROSE
        if not dropping:
            current.lines.append(line)
    return list(fields.values())


def _opened(key: str, number: int, rest: str) -> _Field:
    block = _BLOCK.fullmatch(rest)
    if block is None:
        return _Field(key, number, rest)
    return _Field(key, number, rest, block=block["style"], indent=int(block["indent"] or 0), in_block=True)


def _refuse_swallowed(line: str, number: int, current: _Field, reporter: Reporter) -> None:
    swallowed = SWALLOWED.match(line)
    if swallowed:
        key = swallowed[1]
        where = f"the text of {current.key!r}" if current.key else "the text before the first field"
        what = f"the indented {key!r} would be lost in {where}, since the header is no valid YAML"
        remedy = f"start the line with {key}: without spaces; if it is prose, {_PLACES}"
        raise reporter.error(number, swallowed.start(1) + 1, what, remedy)


def _tell_of_repetition(key: str, before: int, number: int, reporter: Reporter) -> None:
    which = "first" if key in PROSE else "last"
    what = f"{key!r} stands in line {before} and again in line {number}"
    if key in RESTRICTING:  # one may be prose, and nobody knows which
        what += " of a header that is no valid YAML"
        raise reporter.error(number, 1, what, f"if one is prose, {_PLACES}; else remove it")
    reporter.warn(number, 1, f"{what}; the {which} one counts", f"if one is prose, {_PLACES}; else remove it")


# -- one field --------------------------------------------------------------


def _entries(each: _Field, reporter: Reporter) -> list[Entry]:
    """The entry of a field, and of unknown keys that stand below it and are YAML."""
    found = _as_yaml(each, reporter)
    if found and _is_meant(each.key, found):
        return found
    if not each.key:
        return []
    return [Entry(each.key, _as_text(each, reporter), each.line, 1)]


def _as_yaml(each: _Field, reporter: Reporter) -> list[Entry] | None:
    first = [f"{each.key}: {each.first.lstrip()}"] if each.key else []
    try:
        return read_yaml("\n".join([*first, *each.lines]), reporter, each.line)
    except Trouble:
        return None


def _is_meant(key: str, found: list[Entry]) -> bool:
    """Whether the YAML is what the writer meant: lines such as ``user: ...`` below a description are prose."""
    if not key:
        return True
    if found[0].key != key or any(entry.key in KNOWN for entry in found[1:]):
        return False
    return key not in PROSE or (len(found) == 1 and isinstance(found[0].value, str))


def _as_text(each: _Field, reporter: Reporter) -> Any:
    if each.block:
        return textwrap.dedent("\n".join(each.lines)).strip("\n")
    text = "\n".join(line.rstrip() for line in [each.first.strip(), *each.lines]).strip()
    if each.key in RESTRICTING and "\n" in text:
        return _items(text, each, reporter)
    return _unquoted(text)


def _items(text: str, each: _Field, reporter: Reporter) -> list[str]:
    """A list whose items are no YAML, such as ``- *``."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not all(line.startswith(("- ", "-\t")) for line in lines):
        what = f"what follows {each.key!r} is neither a list nor one line, in a header that is no valid YAML"
        raise reporter.error(each.line, 1, what, "write one line, separated by commas, or a list of indented - items")
    return [_unquoted(line[1:].strip()) for line in lines]


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
