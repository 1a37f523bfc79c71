"""From the entries of a header to the fields of a definition."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from agentreg.extensions.definitions.families import Family
from agentreg.extensions.definitions.problems import Reporter
from agentreg.extensions.definitions.reading.entries import Entry, kind_of
from agentreg.extensions.definitions.reading.keys import FIELDS, meant
from agentreg.extensions.definitions.reading.tool_lists import split_list

__all__ = ["fields_of"]

_STEM_SUFFIXES = (".agent.md", ".chatmode.md")
_TEXTS = ("color", "version", "resource_limit", "conflict_resolution", "specialization")
_NO_PATH = re.compile(r"[/\\:\x00-\x1f\x7f-\x9f\u2028\u2029]")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NOTHING = frozenset({"", "~", "null"})
_SWITCH = {"true": True, "false": False}


def fields_of(entries: Iterable[Entry], family: Family, reporter: Reporter) -> dict[str, Any]:
    """The fields of an `AgentDefinition`, its metadata included, by their names.

    Raises:
        DefinitionError: the description is missing, or a value that matters has the wrong form.
        NotAnAgent: there is no name, and the file's name doesn't give one either.
    """
    return _Building(entries, family, reporter).fields()


class _Building:
    def __init__(self, entries: Iterable[Entry], family: Family, reporter: Reporter) -> None:
        self._reporter = reporter
        self._family = family
        self._found: dict[str, Entry] = {}
        self._metadata: dict[str, Any] = {}
        for entry in entries:
            self._sort(entry)

    def _sort(self, entry: Entry) -> None:
        field = FIELDS.get(entry.key)
        if field is None:
            self._keep_unknown(entry)
            return
        before = self._found.get(field)
        if before is not None:
            what = f"{before.key!r} in line {before.line} and {entry.key!r} mean the same; the last one counts"
            self._warn(entry, what, "remove one of the two")
        self._found[field] = entry

    def _keep_unknown(self, entry: Entry) -> None:
        if entry.key == "<<":
            raise self._error(entry, "the merge key << is not followed", "write the fields out")
        known = meant(entry.key)
        if known:
            what = f"the key {entry.key!r} is not known, and kept as it is"
            self._warn(entry, what, f"if you mean {known!r}, write it so")
        self._metadata[entry.key] = entry.value

    def fields(self) -> dict[str, Any]:
        name = self._name()
        fields: dict[str, Any] = {"name": name, "description": self._description()}
        if "tools" in self._found:
            self._tools(self._found["tools"], fields)
        if "disallowed_tools" in self._found:
            self._disallow(self._list(self._found["disallowed_tools"], strict=True), fields)
        for field in ("model", *_TEXTS):
            if field in self._found:
                fields[field] = self._text(self._found[field])
        if "tags" in self._found:
            fields["tags"] = tuple(self._list(self._found["tags"]))
        if "priority" in self._found:
            fields["priority"] = _as_number(self._text(self._found["priority"]))
        if "mcp_servers" in self._found:
            fields["mcp_servers"] = self._servers(self._found["mcp_servers"])
        fields["metadata"] = self._metadata
        return fields

    # -- name and description -----------------------------------------------

    def _name(self) -> str:
        entry = self._found.get("name")
        if self._family.named_by_file:
            return self._name_of_file(entry)
        if entry is None:
            return self._name_without_key()
        name = self._required_text(entry)
        unfit = _NO_PATH.search(name)
        if unfit:
            what = f"the name {name!r} holds {unfit[0]!r}, which no file's name may"
            self._warn(
                entry, what, "it is usable as a name; use letters, digits and hyphens where a path is made of it"
            )
        return name

    def _name_of_file(self, entry: Entry | None) -> str:
        stem = self._stem()
        if not stem:
            raise self._reporter.error(1, 1, "the file's name gives no name", "rename it")
        if entry is not None and entry.value != stem:
            self._metadata["name"] = entry.value
        return stem

    def _name_without_key(self) -> str:
        stem = self._stem()
        if stem and self._reporter.path.endswith(_STEM_SUFFIXES):
            self._reporter.warn(1, 1, f"the name is missing; the file's is taken: {stem!r}", f"add name: {stem}")
            return stem
        if self._family.form == "toml":
            raise self._reporter.error(1, 1, "the name is missing", 'add name = "..."')
        raise self._reporter.no_agent(
            1, 1, "no name in the header: not an agent", "to make it one, add name: ...", "information"
        )

    def _stem(self) -> str:
        file_name = PurePath(self._reporter.path).name
        for suffix in _STEM_SUFFIXES:
            if file_name.endswith(suffix):
                return file_name.removesuffix(suffix)
        return PurePath(file_name).stem

    def _description(self) -> str:
        entry = self._found.get("description")
        if entry is None:
            line, column = self._place_of_name()
            how = 'description = "..."' if self._family.form == "toml" else "description: ..."
            raise self._reporter.error(line, column, "the description is missing", f"add {how}: when to use it")
        return self._required_text(entry)

    def _place_of_name(self) -> tuple[int, int]:
        entry = self._found.get("name")
        return (entry.line, entry.column) if entry else (1, 1)

    def _required_text(self, entry: Entry) -> str:
        if not isinstance(entry.value, str):
            what = f"{entry.key!r} is {kind_of(entry.value)}, and must be text"
            raise self._error(entry, what, "put the value between quotes")
        text = entry.value.strip()
        if not text:
            raise self._error(entry, f"{entry.key!r} is empty", "write it behind the colon, or remove the key")
        return text

    # -- tools --------------------------------------------------------------

    def _tools(self, entry: Entry, fields: dict[str, Any]) -> None:
        if isinstance(entry.value, dict):
            self._switches(entry, fields)
            return
        fields["tools"] = tuple(self._list(entry, strict=True))
        if not fields["tools"]:
            self._warn(entry, f"{entry.key!r} is empty: the agent may use no tool", "remove the key to allow all")

    def _switches(self, entry: Entry, fields: dict[str, Any]) -> None:
        """Tools that are switched on and off one by one: what is not said stays on, unless * is off."""
        switches = {tool: _switch(value) for tool, value in entry.value.items()}
        if not self._family.named_by_file or None in switches.values():
            what = f"{entry.key!r} is a mapping"
            raise self._error(entry, what, "write a list, or texts separated by commas")
        self._metadata[entry.key] = entry.value
        if switches.get("*") is False:
            fields["tools"] = tuple(tool for tool, on in switches.items() if on)
        self._disallow([tool for tool, on in switches.items() if on is False and tool != "*"], fields)

    @staticmethod
    def _disallow(tools: Iterable[str], fields: dict[str, Any]) -> None:
        fields["disallowed_tools"] = (*fields.get("disallowed_tools", ()), *tools)

    def _list(self, entry: Entry, strict: bool = False) -> list[str]:
        """The texts of a list, or of a text that is one; what is neither is an error, or else stays in the metadata."""
        value = entry.value
        if isinstance(value, str):
            return [] if value.strip() in _NOTHING else split_list(value)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return [item.strip() for item in value if item.strip()]
        odd = next((item for item in value if not isinstance(item, str)), None) if isinstance(value, list) else value
        what = f"{entry.key!r} holds {kind_of(odd)}" if isinstance(value, list) else f"{entry.key!r} is {kind_of(odd)}"
        remedy = "write a list of texts; quote one that holds a colon or brackets"
        if strict:
            raise self._error(entry, what, remedy)
        self._warn(entry, f"{what}; it is kept as it is", remedy)
        self._metadata[entry.key] = value
        return []

    # -- the others ---------------------------------------------------------

    def _text(self, entry: Entry) -> str | None:
        """The text, or None when it is empty or no text, which then stays in the metadata."""
        if isinstance(entry.value, (bool, int, float)):
            return str(entry.value)
        if isinstance(entry.value, str):
            return entry.value.strip() or None
        self._metadata[entry.key] = entry.value
        if entry.key != "model":
            self._warn(entry, f"{entry.key!r} is {kind_of(entry.value)}; it is kept as it is", "write a text")
        return None

    def _servers(self, entry: Entry) -> tuple[str, ...]:
        """The servers' names, from a list of names and mappings, one mapping, or a text."""
        value = entry.value
        if isinstance(value, str):
            return tuple(self._list(entry))
        if not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            self._metadata[entry.key] = value
        names: list[str] = []
        for item in value if isinstance(value, list) else [value]:
            names += [item] if isinstance(item, str) else item if isinstance(item, dict) else []
        return tuple(dict.fromkeys(names))

    def _warn(self, entry: Entry, message: str, remedy: str) -> None:
        self._reporter.warn(entry.line, entry.column, message, remedy)

    def _error(self, entry: Entry, message: str, remedy: str) -> Exception:
        return self._reporter.error(entry.line, entry.column, message, remedy)


def _as_number(text: str | None) -> int | str | None:
    return int(text) if text and _WHOLE.fullmatch(text) else text


def _switch(value: Any) -> bool | None:
    return value if isinstance(value, bool) else _SWITCH.get(value) if isinstance(value, str) else None
