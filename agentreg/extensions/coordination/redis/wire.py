"""Records and changes as the scripts keep them: JSON with one field to a line."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from agentreg.extensions.coordination.backend import Delete, Patch, Put, Renew
from agentreg.extensions.coordination.events import Change
from agentreg.extensions.coordination.processes import Process
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus, from_wire
from agentreg.extensions.coordination.redis.revision import Mark, Revision

__all__ = [
    "change_of",
    "delete_item",
    "id_of",
    "mark_in",
    "patch_item",
    "put_item",
    "record_of",
    "renew_item",
    "text_of",
]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"expected plain JSON, got {value!r}")


# equal values must give equal texts: the scripts compare these
_any = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain).encode
_text = json.encoder.encode_basestring_ascii


def _json(value: Any) -> str:
    """*value* as JSON; what most values are goes without the encoder's preparations, which take longer than it."""
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind is dict:
        return _object(value)
    if kind is int or (kind is float and isfinite(value)):
        return repr(value)
    if kind is list:
        return f"[{','.join(map(_json, value))}]"
    return _any(value)


def _object(value: dict[Any, Any]) -> str:
    parts = []
    try:
        for key in sorted(value):
            each = value[key]
            kind = type(each)
            text = _text(each) if kind is str else repr(each) if kind is int else _json(each)
            parts.append(f"{_text(key)}:{text}")
    except TypeError:  # of a key that is no text
        return _any(value)
    return f"{{{','.join(parts)}}}"


def text_of(name: str) -> str:
    """An id as the scripts write it: like JSON, without the quotes. ValueError for an empty one."""
    if not name:
        raise ValueError("expected an id, got an empty text")
    return _text(name)[1:-1]


def id_of(text: bytes) -> str:
    """The id that `text_of` gave this text for."""
    return str(json.loads(b'"' + text + b'"')) if b"\\" in text else text.decode()


def put_item(item: Put, partition: int) -> str:
    """One item of put.lua."""
    lines = lines_of(item.record)
    return lines if item.replaces is None else f"{_text(item.replaces)}\n{_text(item.reason)}\n{lines}"


def lines_of(record: AgentMetadata) -> str:
    """What `to_wire` says but the revision, as lines. By hand, for a bulk registration does little else."""
    registered = repr(record.registered) if record.created is None else _times(record)
    return (
        f'{{"token":{_text(record.token)},\n"runtime_id":"{text_of(record.runtime_id)}",\n'
        f'"agent_id":"{text_of(record.agent_id)}",\n"capabilities":[{",".join(map(_text, record.capabilities))}],\n'
        f'"status":"{_STATUS[record.status]}",\n"registered":{registered}{_process_lines(record.process)}'
        f"{_rest_lines(record._rest) if record._rest else ''}}}"
    )


_STATUS = {status: status.value for status in AgentStatus}


def _times(record: AgentMetadata) -> str:
    return f'{_json(record.registered)},\n"created":{_json(record.created)}'


@functools.lru_cache(1024)
def _process_lines(process: Process) -> str:
    parts = zip(("host", "pid", "process_start", "boot_id", "cwd"), process, strict=True)
    return "".join([f',\n"{name}":{_json(value)}' for name, value in parts if value])


def _rest_lines(rest: Mapping[str, Any]) -> str:
    lines = ""
    for name, value in rest.items():
        if type(value) is str:
            if value or name != "name":
                lines += f',\n"{name}":{_text(value)}'
        elif value != _DEFAULTS.get(name) and (name != "a2a_card" or isinstance(value, dict)):
            lines += f',\n"{name}":{_json(value)}'
    return lines


_DEFAULTS = {name: each.default for name, each in vars(AgentMetadata).items() if hasattr(each, "default")} | {
    "name": ""
}


def patch_item(item: Patch, partition: int) -> str:
    """One item of patch.lua."""
    parts = [text_of(item.agent_id), _json(item.token), _heard(item.heard, partition)]
    for name, value in item.fields.items():
        parts += [_json(name)[1:-1], _json(value), "1" if _is_default(name, value) else "0"]
    return "\n".join(parts)


def _is_default(name: str, value: Any) -> bool:
    return bool(value == _DEFAULTS.get(name))


def delete_item(item: Delete, partition: int) -> str:
    """One item of delete.lua."""
    heard = _heard(item.heard, partition)
    return f"{text_of(item.agent_id)}\n{_json(item.token)}\n{heard}\n{_json(item.reason)}"


def _heard(mark: int | None, partition: int) -> str:
    return "-" if mark is None else str(mark_in(mark, partition))


def mark_in(mark: int, partition: int) -> int:
    """The part of *mark* that is about one partition."""
    return mark.parts[partition] if isinstance(mark, Mark) else int(mark)


def renew_item(item: Renew, partition: int) -> str:
    """One item of renew.lua."""
    if item.agent_id is None:
        return text_of(item.runtime_id)
    return f"{text_of(item.agent_id)}\n{_text(item.token)}"


def record_of(text: bytes) -> tuple[AgentMetadata, int]:
    """A record, and the tick when it was registered. Whatever is wrong with it raises an Exception."""
    wire = json.loads(text)
    return from_wire(wire), int(wire["born"])


_KINDS = {b"r": "registered", b"u": "updated", b"d": "deregistered"}


def change_of(revision: Revision, fields: list[bytes]) -> tuple[Change, int]:
    """The change in an entry of the log (kind, id, payload), and the tick of a registration.

    Whatever is wrong with it raises an Exception.
    """
    kind, agent_id, payload = _KINDS[fields[0]], id_of(fields[1]), json.loads(fields[2])
    change = Change(revision, kind, agent_id, payload["runtime_id"], token=payload["token"])  # type: ignore[arg-type]
    if change.kind == "registered":
        change.record = from_wire({**payload, "revision": revision})
        return change, int(payload["born"])
    if change.kind == "updated":
        change.fields = payload["fields"]
    else:
        change.reason = payload["reason"]
    return change, 0
