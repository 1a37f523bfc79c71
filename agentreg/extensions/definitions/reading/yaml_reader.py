"""A header as strict YAML, its scalars kept as they are written.

It reads the parser's events rather than loading: places and duplicate keys
are seen, nothing is resolved (``on`` is a text), no tag makes an object, and
neither depth nor aliases can grow without bound.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from agentreg.extensions.definitions.problems import DefinitionError, Reporter
from agentreg.extensions.definitions.reading.decoding import place_of
from agentreg.extensions.definitions.reading.entries import Entry
from agentreg.extensions.definitions.reading.header import FIRST_LINE

__all__ = ["ALIAS_LIMIT", "DEPTH_LIMIT", "Trouble", "read_yaml"]

ALIAS_LIMIT = 100_000  # characters that all aliases of a header may stand for
DEPTH_LIMIT = 50  # lists and mappings inside one another

_Parser: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # libyaml's, where PyYAML was built with it
_IS_PURE = _Parser is yaml.BaseLoader
_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE
_LONE = re.compile("[\ud800-\udfff]")
_PLAIN = frozenset(
    {None, "!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map"))}
)


class Trouble(Exception):
    """Why a text is no YAML: the parser's own place in the file, and reason."""

    def __init__(self, line: int, column: int, reason: str) -> None:
        super().__init__(line, column, reason)
        self.line, self.column, self.reason = line, column, reason


def read_yaml(text: str, reporter: Reporter, first_line: int = FIRST_LINE) -> list[Entry] | None:
    """The entries of *text*, or None when it is no mapping; of duplicate keys the last, with a warning.

    Raises:
        Trouble: it is no YAML.
        DefinitionError: its aliases expand without bound, or it is nested too deeply.
    """
    try:
        return _Reading(text, reporter, first_line).entries()
    except DefinitionError:  # a ValueError too
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + first_line, mark.column + 1) if mark else (first_line, 1)
        raise Trouble(*place, error.problem or str(error.context)) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # a ReaderError; numbers that PyYAML itself trips over
        bad = _UNPRINTABLE.search(text)
        line, column = place_of(text, bad.start()) if bad else (1, 1)
        reason = f"the character U+{ord(bad[0]):04X} is not allowed" if bad else str(error).partition("\n")[0]
        raise Trouble(line + first_line - 1, column, reason) from None


class _Reading:
    """One text being read."""

    def __init__(self, text: str, reporter: Reporter, first_line: int) -> None:
        parser = _Parser(text)
        self._next = parser.get_event
        self._reporter = reporter
        self._first_line = first_line
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._size = 0  # characters of all values so far
        self._aliased = 0  # of these, what aliases stand for

    def entries(self) -> list[Entry] | None:
        self._next()  # the stream's start
        if isinstance(self._next(), StreamEndEvent):
            return []
        root = self._next()
        found: list[Entry] | None = None
        if isinstance(root, MappingStartEvent):
            self._check_tag(root)
            found = [
                Entry(key, value, mark.line + self._first_line, mark.column + 1)
                for key, (value, mark) in self._mapping(1).items()
            ]
        else:
            self._value(root, 0)
        self._next()  # the document's end
        after = self._next()
        if not isinstance(after, StreamEndEvent):
            self._fail("expected a single document, found another", after)
        return found

    def _mapping(self, depth: int) -> dict[str, tuple[Any, Any]]:
        """Each key's value, and the place of the key."""
        found: dict[str, tuple[Any, Any]] = {}
        following = self._next
        while type(event := following()) is not MappingEndEvent:
            key = self._value(event, depth)
            if type(key) is not str:
                self._fail("found a key that is no text", event)
            mark = event.start_mark
            if key in found:
                self._tell_of_duplicate(key, found.pop(key)[1], mark)
            found[key] = (self._value(following(), depth), mark)
        return found

    def _tell_of_duplicate(self, key: str, first: Any, second: Any) -> None:
        if self._reporter.has_room:
            before, line = first.line + self._first_line, second.line + self._first_line
            what = f"the key {key!r} stands in line {before} and in line {line}; the last one counts"
            self._reporter.warn(line, second.column + 1, what, "remove one of the two")

    def _value(self, event: Any, depth: int) -> Any:
        kind = type(event)
        if kind is AliasEvent:
            return self._alias(event)
        if kind is ScalarEvent and event.anchor is event.tag is None:  # by far the most are
            return self._text(event)
        if event.tag is not None:
            self._check_tag(event)
        before = self._size
        value = self._text(event) if kind is ScalarEvent else self._collection(event, depth + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._size - before)
        return value

    def _text(self, event: Any) -> str:
        value: str = event.value
        self._size += len(value) + 1
        if _IS_PURE and _LONE.search(value):  # libyaml refuses it itself
            self._fail("found half of a surrogate pair", event)
        return value

    def _collection(self, event: Any, depth: int) -> Any:
        if depth > DEPTH_LIMIT:
            mark = event.start_mark
            what = f"lists and mappings are more than {DEPTH_LIMIT} deep inside one another"
            raise self._reporter.error(
                mark.line + self._first_line, mark.column + 1, what, "flatten them, or quote the text"
            )
        self._size += 1
        if event.anchor is not None:
            self._anchors[event.anchor] = (None, -1)  # until it is complete
        if type(event) is MappingStartEvent:
            return {key: value for key, (value, _) in self._mapping(depth).items()}
        items = []
        while type(item := self._next()) is not SequenceEndEvent:
            items.append(self._value(item, depth))
        return items

    def _alias(self, event: Any) -> Any:
        value, size = self._anchors.get(event.anchor, (None, None))
        if size is None:
            self._fail("found undefined alias", event)
        self._size += size
        self._aliased += size
        if size < 0 or self._aliased > ALIAS_LIMIT:
            how = "contains itself" if size < 0 else f"makes the aliases longer than {ALIAS_LIMIT:,} characters"
            mark = event.start_mark
            raise self._reporter.error(
                mark.line + self._first_line,
                mark.column + 1,
                f"the alias *{event.anchor} {how}",
                "write the values out, without & and *",
            )
        return value

    def _check_tag(self, event: Any) -> None:
        if event.tag not in _PLAIN:
            self._fail(f"could not determine a constructor for the tag {event.tag!r}", event)

    def _fail(self, reason: str, event: Any) -> NoReturn:
        raise yaml.MarkedYAMLError(problem=reason, problem_mark=event.start_mark)
