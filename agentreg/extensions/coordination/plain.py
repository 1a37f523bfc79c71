"""What a directory and its store say to each other, as plain JSON: for a store at the other end of a connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agentreg.extensions.coordination.backend import Answer, Beat, Changes, Delete, Patch, Put, Renew, Snapshot
from agentreg.extensions.coordination.events import Change
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus, from_wire, rest_from_wire, to_wire

__all__ = [
    "READERS",
    "from_answer",
    "from_changes",
    "from_item",
    "from_result",
    "from_snapshot",
    "to_changes",
    "to_item",
    "to_result",
    "to_snapshot",
]

Plain = dict[str, Any]
Item = Put | Patch | Delete | Renew


def from_item(item: Item) -> Plain:
    """One item of a batch."""
    plain = item._asdict()
    if isinstance(item, Put):
        plain["record"] = to_wire(item.record)
    elif isinstance(item, Patch):
        plain["fields"] = dict(item.fields)
    return plain


def to_item(verb: str, plain: Mapping[str, Any]) -> Item:
    """The item that `from_item` was given, of a batch of *verb*. Raises TypeError or ValueError if it is none."""
    if not isinstance(plain, Mapping):
        raise TypeError(f"expected an object, got {plain!r:.80}")
    try:
        return READERS[verb](plain)
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is missing") from None


def _put(plain: Mapping[str, Any]) -> Put:
    wire = _of(Mapping, plain["record"], "record")
    for name in ("agent_id", "runtime_id", "token"):
        if not _text(wire.get(name), f"record.{name}"):
            raise ValueError(f"record.{name}: expected some text")
    for each in _of(list, wire.get("capabilities", []), "record.capabilities"):
        _text(each, "record.capabilities")
    replaces = plain.get("replaces")
    return Put(from_wire(wire), replaces and _text(replaces, "replaces"), _text(plain.get("reason", ""), "reason"))


def _patch(plain: Mapping[str, Any]) -> Patch:
    fields = _of(Mapping, plain["fields"], "fields")
    AgentStatus(fields.get("status", "active"))
    rest_from_wire(fields)
    return Patch(_text(plain["agent_id"], "agent_id"), _text(plain["token"], "token"), fields, _mark(plain))


def _delete(plain: Mapping[str, Any]) -> Delete:
    reason = _text(plain.get("reason", "deregistered"), "reason")
    return Delete(_text(plain["agent_id"], "agent_id"), _text(plain["token"], "token"), reason, _mark(plain))


def _renew(plain: Mapping[str, Any]) -> Renew:
    agent_id = plain.get("agent_id")
    known = None if agent_id is None else _text(agent_id, "agent_id")
    return Renew(_text(plain["runtime_id"], "runtime_id"), known, _text(plain.get("token", ""), "token"))


READERS: dict[str, Callable[[Mapping[str, Any]], Item]] = {
    "put": _put,
    "patch": _patch,
    "delete": _delete,
    "renew": _renew,
}


def _of(kind: Any, value: Any, name: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected a {kind.__name__}, got {value!r:.80}")
    return value


def _text(value: Any, name: str) -> str:
    text: str = _of(str, value, name)
    return text


def _mark(plain: Mapping[str, Any]) -> int | None:
    mark = plain.get("heard")
    if mark is not None and (isinstance(mark, bool) or not isinstance(mark, int)):
        raise TypeError(f"heard: expected null or a whole number, got {mark!r:.80}")
    return mark


# -- answers ------------------------------------------------------------------


def from_result(result: Any) -> Any:
    """One result of an `Answer`: a record, or what is plain already."""
    return to_wire(result) if isinstance(result, AgentMetadata) else result


def to_result(plain: Any) -> Any:
    """The result that `from_result` was given."""
    return from_wire(plain) if isinstance(plain, dict) else plain


def from_answer(answer: Answer) -> Plain:
    """The answer to a batch."""
    return {"revision": answer.revision, "results": [from_result(each) for each in answer.results]}


def from_snapshot(snapshot: Snapshot) -> Plain:
    """A whole listing."""
    return {
        "revision": snapshot.revision,
        "records": [to_wire(record) for record in snapshot.records],
        "beats": snapshot.beats,
        "mark": snapshot.mark,
    }


def to_snapshot(plain: Plain) -> Snapshot:
    """The listing that `from_snapshot` was given."""
    records = [from_wire(wire) for wire in plain["records"]]
    return Snapshot(plain["revision"], records, [Beat(*each) for each in plain["beats"]], plain["mark"])


def from_changes(changes: Changes) -> Plain:
    """What is new."""
    return {
        "revision": changes.revision,
        "changes": [_from_change(each) for each in changes.changes],
        "beats": changes.beats,
        "mark": changes.mark,
    }


def to_changes(plain: Plain) -> Changes:
    """The news that `from_changes` was given."""
    changes = [_to_change(each) for each in plain["changes"]]
    return Changes(plain["revision"], changes, [Beat(*each) for each in plain["beats"]], plain["mark"])


def _from_change(change: Change) -> Plain:
    return {
        "revision": change.revision,
        "kind": change.kind,
        "agent_id": change.agent_id,
        "runtime_id": change.runtime_id,
        "record": None if change.record is None else to_wire(change.record),
        "fields": None if change.fields is None else dict(change.fields),
        "reason": change.reason,
        "token": change.token,
    }


def _to_change(plain: Plain) -> Change:
    record = plain["record"]
    return Change(**{**plain, "record": None if record is None else from_wire(record)})
