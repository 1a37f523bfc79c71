"""A definition as markdown again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.reading.keys import FIELDS

__all__ = ["markdown_of", "to_markdown", "yaml_of"]

_WRITTEN = {
    "name": "name",
    "description": "description",
    "tools": "tools",
    "disallowed_tools": "disallowedTools",
    "model": "model",
    "color": "color",
    "version": "version",
    "tags": "tags",
    "priority": "priority",
    "mcp_servers": "mcpServers",
    "resource_limit": "resource_limit",
    "conflict_resolution": "conflict_resolution",
    "specialization": "specialization",
}
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # YAML wants these escaped, JSON does not


def markdown_of(definition: AgentDefinition) -> str:
    """The file that *definition* was read from, to the byte, if it is still the same; else `to_markdown`."""
    with suppress(OSError, ValueError):  # gone, or no file name at all
        data = Path(definition.file_path).read_bytes()
        if definition.family == "claude" and hashlib.sha256(data).hexdigest() == definition.digest:
            return data.decode()
    return to_markdown(definition)


def to_markdown(definition: AgentDefinition) -> str:
    """Markdown that says what *definition* says, unknown keys included; the values are written as JSON.

    >>> print(to_markdown(AgentDefinition("scout", "Looks around", tools=("Read",), body="You are a scout.")))
    ---
    name: "scout"
    description: "Looks around"
    tools: ["Read"]
    ---
    <BLANKLINE>
    You are a scout.
    <BLANKLINE>
    """
    lines = [f"{key}: {yaml_of(value)}" for key, value in _entries(definition)]
    body = f"\n{definition.body}\n" if definition.body else ""
    return "\n".join(["---", *lines, "---", body])


def yaml_of(value: Any) -> str:
    """*value* in one line that YAML reads as it is: JSON, with what YAML does not print escaped."""
    written = json.dumps(value, ensure_ascii=False, default=str)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def _entries(definition: AgentDefinition) -> Iterator[tuple[str, Any]]:
    told = {FIELDS.get(key) for key in definition.metadata}  # there in full: a list of models, settings of servers
    for field, key in _WRITTEN.items():
        value = getattr(definition, field)
        if field not in told and (value not in (None, ()) or (field == "tools" and value is not None)):
            yield key, value
    for key, value in definition.metadata.items():
        yield key if re.fullmatch(r"[\w-]+", key) else yaml_of(key), value
