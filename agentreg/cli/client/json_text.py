"""Changing one place of a JSON text, and not a byte besides."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from json.decoder import JSONDecoder
from typing import Any, NamedTuple

__all__ = ["JsonText", "Key"]

Key = str | int
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = JSONDecoder()


class Part(NamedTuple):
    """One member of an object, or one element of an array: from its key, or its value, to the end of its value."""

    key: Key
    begin: int
    value: int
    end: int


class JsonText:
    """A JSON document as somebody wrote it.

    Places in it are paths of keys and indices; of a key that stands there
    twice, the last counts, as for other readers.

    Raises:
        ValueError: *text* is no JSON (json.JSONDecodeError, with its place).
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.value: Any = json.loads(text)

    def append(self, path: Sequence[Key], value: Any, key: str | None = None) -> JsonText:
        """The text with *value* as the last part of the array, or under *key* of the object, at *path*."""
        begin, end = self._span(path)
        parts = self._parts(begin)
        if parts:
            place, before = parts[-1].end, self._space_before(parts[-1]) or " "
            return self._with(place, place, "," + before + self._written(value, key, before))
        outer = self._indent_at(begin)
        before = f"{self._newline()}{outer}{self._unit()}" if self._is_tall() else ""
        after = f"{self._newline()}{outer}" if before else ""
        return self._with(begin + 1, end - 1, before + self._written(value, key, before) + after)

    def replace(self, path: Sequence[Key], value: Any) -> JsonText:
        """The text with *value* at *path*."""
        begin, end = self._span(path)
        return self._with(begin, end, json.dumps(value, ensure_ascii=False))

    def remove(self, path: Sequence[Key]) -> JsonText:
        """The text without what is at *path*, and without the comma that parted it from its neighbour."""
        *outer, last = path
        begin, end = self._span(outer)
        parts = self._parts(begin)
        index = max(index for index, part in enumerate(parts) if part.key == last)
        if len(parts) == 1:
            return self._with(begin + 1, end - 1, "")
        if index == 0:
            return self._with(parts[0].begin, parts[1].begin, "")
        return self._with(parts[index - 1].end, parts[index].end, "")

    def _with(self, begin: int, end: int, text: str) -> JsonText:
        return JsonText(self.text[:begin] + text + self.text[end:])

    # -- where things are ---------------------------------------------------

    def _span(self, path: Sequence[Key]) -> tuple[int, int]:
        begin = self._skip(0)
        end = _DECODER.raw_decode(self.text, begin)[1]
        for key in path:
            part = [part for part in self._parts(begin) if part.key == key][-1]
            begin, end = part.value, part.end
        return begin, end

    def _parts(self, begin: int) -> list[Part]:
        """The parts of the object or array that begins at *begin*."""
        is_object = self.text[begin] == "{"
        parts: list[Part] = []
        place = self._skip(begin + 1)
        while self.text[place] not in "}]":
            key: Key = len(parts)
            first = value = place
            if is_object:
                key, place = _DECODER.raw_decode(self.text, place)
                value = self._skip(self._skip(place) + 1)  # behind the colon
            end = _DECODER.raw_decode(self.text, value)[1]
            parts.append(Part(key, first, value, end))
            place = self._skip(end)
            if self.text[place] == ",":
                place = self._skip(place + 1)
        return parts

    def _skip(self, place: int) -> int:
        match = _SPACE.match(self.text, place)
        return match.end() if match else place

    # -- how it is written --------------------------------------------------

    def _written(self, value: Any, key: str | None, before: str) -> str:
        if "\n" in before:
            text = json.dumps(value, indent=self._unit(), ensure_ascii=False).replace("\n", before)
        else:
            text = json.dumps(value, ensure_ascii=False)
        return text if key is None else f"{json.dumps(key)}: {text}"

    def _space_before(self, part: Part) -> str:
        head = self.text[: part.begin]
        space = head[len(head.rstrip(" \t\r\n")) :]
        return self._newline() + space.rpartition("\n")[2] if "\n" in space else space

    def _indent_at(self, place: int) -> str:
        """What the line with *place* in it begins with."""
        line = self.text[self.text.rfind("\n", 0, place) + 1 : place]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def _unit(self) -> str:
        """One step of indentation: the document's own, or two spaces."""
        match = re.search(r"^[ \t]*\{[ \t]*\r?\n([ \t]+)\S", self.text.lstrip("\r\n"))
        return match[1] if match else "  "

    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def _is_tall(self) -> bool:
        """Whether it has a line for each part, as far as can be told: an empty document has no style yet."""
        return "\n" in self.text.strip() or not self.value
