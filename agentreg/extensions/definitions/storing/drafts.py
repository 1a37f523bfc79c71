"""What is handed to a store, found fit to be kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.errors import ContentError
from agentreg.extensions.definitions.reading.parsing import parse
from agentreg.extensions.definitions.reading.rendering import markdown_of
from agentreg.extensions.definitions.sources.rows import columns_of, digest_of, parse_row
from agentreg.extensions.definitions.storing.backends import Version
from agentreg.extensions.definitions.storing.stored import written

__all__ = ["CONTENT_LIMIT", "NAME_LIMIT", "Draft"]

CONTENT_LIMIT = 1 << 20  # bytes
NAME_LIMIT = 255  # characters


class Draft:
    """A content that was found fit to be stored.

    Attributes:
        name: The definition's name.
        content: The whole markdown.
        columns: What was said beside it.
    """

    def __init__(
        self, content: str | bytes | AgentDefinition, columns: Mapping[str, Any] | None, name: str | None = None
    ) -> None:
        self.columns = columns_of(columns or {})
        self.content = _content_of(content)
        definition = parse_row(self.content, self.columns, f"registry://{name}" if name else None)
        self.name = definition.name
        self._fields = _fields(definition)
        if name is not None and self.name != name:
            raise ContentError(
                f"the content names {self.name!r}, and {name!r} was to be updated; "
                f"create {self.name!r} and remove {name!r} to rename it"
            )
        if len(self.name) > NAME_LIMIT:
            raise ContentError(f"the name {self.name[:40]!r}... is longer than {NAME_LIMIT} characters; shorten it")
        if any("\ud800" <= character <= "\udfff" for character in self.name):
            raise ContentError(f"the name {self.name!r} holds half a character; write the whole one")

    def says_the_same_as(self, version: Version) -> bool:
        """Whether *version* has this very content, and what is said beside it comes to the same."""
        return version.content == self.content and version.fields == self._fields

    def version(self, number: int, moment: datetime, change: str) -> Version:
        """The content as version *number*."""
        digest = digest_of(self.content)
        return Version(number, self.content, digest, written(moment), change, fields=self._fields, columns=self.columns)


def _content_of(given: object) -> str:
    """The markdown that was handed in, checked for its size and its encoding."""
    if isinstance(given, AgentDefinition):
        given = markdown_of(given)
    if not isinstance(given, (str, bytes)):
        raise TypeError(f"expected markdown (text or bytes) or an AgentDefinition, got {type(given).__name__}")
    try:
        text = given if isinstance(given, str) else given.decode()
    except UnicodeDecodeError:
        parse(given, path="<content>")  # says where
        raise
    size = len(text.encode(errors="surrogatepass"))
    if size > CONTENT_LIMIT:
        raise ContentError(f"the content has {size:,} bytes; at most {CONTENT_LIMIT:,} are stored")
    return text


def _fields(definition: AgentDefinition) -> dict[str, str | list[str]]:
    """What queries can ask for without parsing anything."""
    values = {
        "description": definition.description,
        "version": definition.version,
        "model": definition.model,
        "tags": list(definition.tags),
        "tools": None if definition.tools is None else list(definition.tools),
    }
    return {key: value for key, value in values.items() if value is not None}
