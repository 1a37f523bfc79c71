"""What the scripts that read give, put together."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from agentreg.extensions.coordination.backend import Beat
from agentreg.extensions.coordination.events import Change
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus, rest_from_wire
from agentreg.extensions.coordination.redis import wire
from agentreg.extensions.coordination.redis.revision import START, Position, Revision

__all__ = ["LIMIT", "PAGE", "Listing", "News", "in_order", "merged", "of_registrations", "records_of"]

LIMIT = 2000  #: changes, and beats, for one script call
PAGE = 1000  #: records for one script call


_ID = rb"[ -~]+"
_BEAT = re.compile(rb"(\d+)(?:a(%b)\n(%b)|r(%b))" % (_ID, _ID, _ID)).fullmatch


def _parts(text: bytes) -> list[bytes]:
    return text.split(b"\n\n") if text else []


class News:
    """What came after a position in one partition.

    Attributes:
        position: The last change.
        entries: The changes: the position, kind, id and payload of each.
        beats: Runtime and, if it is the agent's own, agent -> the number of the last beat.
        mark: The last beat's number.
        tick: The store's clock, in microseconds.
        more_beats: Whether there are more after these.
    """

    def __init__(self, position: Position) -> None:
        self.position = position
        self.entries: list[tuple[Position, list[bytes]]] = []
        self.beats: dict[tuple[str, str | None], int] = {}
        self.mark = 0
        self.tick = 0
        self.more_beats = False

    def add(self, answer: Sequence[Any], beats_too: bool) -> bool:
        """Take in what read.lua gave, and with *beats_too* how far it was asked for beats; False if there is a hole."""
        number, nonce, _, entries, mark, tick, beats, count = answer
        for entry in _parts(entries):
            at, nonce_there, *change = entry.split(b"\n", 4)
            if int(at) != self.position.number + 1:
                return False
            self.position = Position(int(at), nonce_there.decode())
            self.entries.append((self.position, change))
        if number == self.position.number and not self.position.nonce:
            self.position = Position(number, nonce.decode())
        for beat in _parts(beats):
            with suppress(ValueError, AttributeError):  # then it is not one that we have written
                at, agent, own, runtime = _BEAT(beat).groups()  # type: ignore[union-attr]
                self.beats[wire.id_of(own or runtime), wire.id_of(agent) if agent else None] = int(at)
        self.tick = int(tick)
        if beats_too:
            self.mark, self.more_beats = int(mark), count >= LIMIT
        return True

    def ages(self) -> Iterator[Beat]:
        """The beats, as the protocol has them."""
        for (runtime_id, agent_id), number in self.beats.items():
            yield Beat(runtime_id, agent_id, self.age(number))

    def age(self, number: int) -> float:
        """How many seconds ago a beat was, never below 0."""
        return max(0.0, (self.tick - number) / 1_000_000)


def of_registrations(registered: Iterable[tuple[News, Change, int]]) -> Iterator[Beat]:
    """The beats that lie in *registered*: where a change was read, the change, and its tick."""
    for news, change, born in registered:
        if born:
            yield Beat(change.runtime_id, change.agent_id, news.age(born))


def merged(partitions: Iterable[Iterable[Beat]]) -> list[Beat]:
    """The beats of all partitions; of a runtime that has beaten in several, the last."""
    merged: dict[tuple[str, str | None], Beat] = {}
    for beats in partitions:
        for beat in beats:
            held = merged.get(beat[:2])
            if held is None or beat.age < held.age:
                merged[beat[:2]] = beat
    return list(merged.values())


def time_of(position: Position) -> int:
    """When the change was made, in microseconds of the server's wall clock: the nonce ends in it."""
    return int(position.nonce[12:] or 0)


def in_order(news: Sequence[News]) -> Iterator[tuple[int, Position, list[bytes]]]:
    """The changes of all partitions, by the time of the server: each with its partition and position there."""
    each = [[(partition, *entry) for entry in one.entries] for partition, one in enumerate(news)]
    if len(each) == 1:
        return iter(each[0])
    return heapq.merge(*each, key=lambda entry: time_of(entry[1]))


class _Held(NamedTuple):
    place: int
    record: AgentMetadata
    born: int


class Listing:
    """The records of one partition while they are collected.

    Attributes:
        held: Agent id -> its place among all partitions' records, the record, and the tick when it was registered.
        news: What has changed meanwhile, and the beats.
    """

    def __init__(self, undecodable: Callable[[str, Exception], None]) -> None:
        self._undecodable = undecodable
        self.held: dict[str, _Held] = {}
        self.news = News(START)

    def add(self, answer: Sequence[Any]) -> bytes:
        """Take in what page.lua gave; where the next page begins, empty after the last."""
        _, _, count, *texts = answer
        ids, places, records = map(_parts, texts)
        for name, place, text in zip(ids, places, records, strict=True):
            self._add(name, int(place), text)
        return places[-1] if count >= PAGE else b""

    def _add(self, name: bytes, place: int, text: bytes) -> None:
        agent_id = name.decode(errors="replace")
        try:
            agent_id = wire.id_of(name)
            self.held.pop(agent_id, None)  # registered anew since an earlier page
            if text == b"?":
                raise LookupError("it has a place and no record, or one that is none of ours")
            self.held[agent_id] = _Held(place, *wire.record_of(text))
        except Exception as error:
            self._undecodable(agent_id, error)

    def catch_up(self, news: News) -> bool:
        """Carry out the changes since; False if one can't be read."""
        self.news = news
        try:
            for position, fields in news.entries:
                self._apply(position, *wire.change_of(Revision([position]), fields))
        except Exception as error:
            self._undecodable(f"change {position.number}", error)
            return False
        return True

    def _apply(self, position: Position, change: Change, born: int) -> None:
        held = self.held.get(change.agent_id)
        if held is not None and held.record.revision >= position.number:
            return  # its page was read after this
        if change.record is not None:
            self.held.pop(change.agent_id, None)
            self.held[change.agent_id] = _Held(time_of(position), change.record, born)
        elif change.kind == "deregistered":
            self.held.pop(change.agent_id, None)
        elif held is not None:
            _update(held.record, change.fields or {})
            held.record.revision = position.number

    def ages(self) -> Iterator[Beat]:
        """When everyone was last heard of: who never beat, at registration."""
        for beat in self.news.ages():
            if beat.agent_id is None:
                yield beat
        beaten = {beat.agent_id: beat for beat in self.news.ages()}
        for agent_id, held in self.held.items():
            yield beaten.get(agent_id) or Beat(held.record.runtime_id, agent_id, self.news.age(held.born))


def records_of(listings: Sequence[Listing]) -> list[AgentMetadata]:
    """The records of all partitions, in registration order."""
    held = [each for listing in listings for each in listing.held.values()]
    if len(listings) > 1:
        held.sort(key=lambda each: each.place)
    return [each.record for each in held]


def _update(record: AgentMetadata, fields: Any) -> None:
    if "status" in fields:
        record.status = AgentStatus(fields["status"])
    if "capabilities" in fields:
        record.capabilities = tuple(fields["capabilities"])
    if "created" in fields:
        record.created = fields["created"]
    for name, value in (rest_from_wire(fields) or {}).items():
        setattr(record, name, value)
