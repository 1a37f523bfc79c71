"""A record as a row: a column for each field that others may want to ask for, and one for all the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

__all__ = ["COLUMNS", "INSERT", "UPDATE", "from_json", "from_row", "key", "text_of", "to_json", "to_row"]

Value = Any  # what sqlite3 takes and gives


def key(text: str) -> str | bytes:
    """*text* as SQLite can keep it; lone surrogates are no UTF-8, such a text becomes bytes.

    >>> key("planner"), key("half a pair: \\ud800")
    ('planner', b'half a pair: \\xed\\xa0\\x80')
    """
    if not isinstance(text, str):
        raise TypeError(f"expected text, got {text!r:.200}")
    return text if _is_unicode(text) else text.encode("utf-8", "surrogatepass")


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_of(value: str | bytes) -> str:
    """The text that `key` was given."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def to_json(value: Any) -> str:
    """*value* as JSON. Raises TypeError or ValueError if it is not plain."""
    return _encode(value)


from_json = json.loads


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a record is plain JSON, and {value!r:.200} (a {type(value).__name__}) is not")


_encode = json.JSONEncoder(separators=(",", ":"), default=_plain).encode


def _as_text(value: Any) -> Value:
    if isinstance(value, Enum):
        value = value.value
    return value if type(value) is str and _is_unicode(value) else None


def _as_number(value: Any) -> Value:
    if type(value) is float:
        return value if value == value else None  # SQLite makes NULL of what is no number
    return value if type(value) is int and abs(value) < 1 << 63 else None


def _as_seconds(value: Any) -> Value:
    return _as_number(value) if type(value) is float else None


def _as_json(kind: type) -> Callable[[Any], Value]:
    return lambda value: _encode(value) if isinstance(value, kind) else None


def _same(value: Any) -> Any:
    return value


_TEXT = ("TEXT", _as_text, _same)
_NUMBER = ("", _as_number, _same)
_SECONDS = ("REAL", _as_seconds, _same)
_LIST = ("TEXT", _as_json(list), from_json)
_OBJECT = ("TEXT", _as_json(Mapping), from_json)

#: field of the wire -> column, its type, to the column (None: it can't be kept there), and back
_FIELDS: dict[str, tuple[str, tuple[str, Callable[[Any], Value], Callable[[Any], Any]]]] = {
    "name": ("name", _TEXT),
    "host": ("host", _TEXT),
    "pid": ("pid", _NUMBER),
    "process_start": ("process_start", _NUMBER),
    "boot_id": ("boot_id", _TEXT),
    "cwd": ("cwd", _TEXT),
    "version": ("version", _TEXT),
    "file_path": ("file_path", _TEXT),
    "endpoint": ("endpoint", _TEXT),
    "capabilities": ("capabilities", _LIST),
    "status": ("status", _TEXT),
    "work_state": ("work_state", _TEXT),
    "created": ("created_at", _SECONDS),
    "registered": ("registered_at", _SECONDS),
    "worked": ("last_activity", _SECONDS),
    "config": ("config", _OBJECT),
    "resources": ("resources", _OBJECT),
    "performance": ("performance", _OBJECT),
    "relationships": ("relationships", _OBJECT),
    "metadata": ("metadata", _OBJECT),
}
_KEYS = ("agent_id", "runtime_id", "token")

#: The columns of the table of records with their types, in the order of a row.
COLUMNS: dict[str, str] = {
    "seq": "INTEGER PRIMARY KEY",
    "revision": "INTEGER NOT NULL",
    "agent_id": "TEXT NOT NULL UNIQUE",
    "runtime_id": "TEXT NOT NULL",
    "token": "TEXT NOT NULL",
    **{column: kind for column, (kind, _, _) in _FIELDS.values()},
    "rest": "TEXT",
    "entered": "REAL NOT NULL",  # when it was registered, on the store's clock
}

INSERT = (
    f"INSERT INTO records ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    " ON CONFLICT (agent_id) DO NOTHING"
)
UPDATE = f"UPDATE records SET {', '.join(f'{column} = ?' for column in list(COLUMNS)[1:-1])} WHERE seq = ?"

_TO = {field: (place, convert) for place, (field, (_, (_, convert, _))) in enumerate(_FIELDS.items())}
_FROM = [(field, restore) for field, (_, (_, _, restore)) in _FIELDS.items()]
_APART = frozenset(("revision", *_KEYS))


def to_row(wire: Mapping[str, Any]) -> tuple[Value, ...]:
    """What `record.to_wire` gave, as a row without ``seq``, ``revision`` and ``entered``.

    What a column can't keep exactly goes to the rest. Raises TypeError or
    ValueError if it is not plain JSON.
    """
    values: list[Value] = [None] * len(_TO)
    rest = {}
    for field, value in wire.items():
        if field in _TO and value is not None:
            place, convert = _TO[field]
            values[place] = value = convert(value)
            if value is not None:
                continue
        if field not in _APART:
            rest[field] = wire[field]
    return (*[key(wire[name]) for name in _KEYS], *values, _encode(rest) if rest else None)


def from_row(row: Sequence[Value]) -> dict[str, Any]:
    """What `to_row` was given, with the revision of the *row*, a whole one."""
    wire: dict[str, Any] = {
        "agent_id": text_of(row[2]),
        "runtime_id": text_of(row[3]),
        "token": text_of(row[4]),
        "revision": row[1],
    }
    for (field, restore), value in zip(_FROM, row[5:-2], strict=True):
        if value is not None:
            wire[field] = restore(value)
    if row[-2] is not None:
        wire.update(from_json(row[-2]))
    return wire
