"""Batches: what is done with their items, and how they are cut for the scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from agentreg.extensions.coordination.backend import Delete, Patch, Put, Renew
from agentreg.extensions.coordination.redis import scripts, wire
from agentreg.extensions.coordination.redis.scripts import Script

__all__ = ["DELETE", "PATCH", "PUT", "RENEW", "Chunk", "Kind", "chunks"]

CHUNK = 200  #: items for one script call
CHUNK_TEXT = 1_000_000  #: characters for one script call, unless a single item has more

Item = TypeVar("Item")


@dataclass(frozen=True)
class Kind(Generic[Item]):
    """What is done with the items of a batch.

    Attributes:
        script: By what.
        encode: An item and its partition -> the script's text for it.
        agent_id: Whom an item is about; None if it is for all partitions.
        results: The script's answer -> the result of each item.
    """

    script: Script
    encode: Callable[[Item, int], str]
    agent_id: Callable[[Item], str | None]
    results: Callable[[Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class Chunk:
    """What one script call gets.

    Attributes:
        places: Where its items stand in the batch.
        text: The items.
        last: Whether nothing comes after it.
    """

    places: Sequence[int]
    text: str
    last: bool


def chunks(kind: Kind[Item], batch: Sequence[Item], share: Sequence[int], partition: int) -> Iterator[Chunk]:
    """The items of *batch* that *share* counts up, cut; some hundreds are encoded when those before have been taken."""
    encode = kind.encode
    for start in range(0, len(share), CHUNK):
        places = share[start : start + CHUNK]
        texts = [encode(batch[place], partition) for place in places]
        ends = list(_ends(texts))
        for first, end in zip([0, *ends], ends, strict=False):
            last = start + end == len(share)
            yield Chunk(places[first:end], "\n\n".join(texts[first:end]), last)


def _ends(texts: Sequence[str]) -> Iterator[int]:
    """Where to cut *texts*, lest a piece be too long."""
    if sum(map(len, texts)) > CHUNK_TEXT:
        size = 0
        for place, text in enumerate(texts):
            if size and size + len(text) > CHUNK_TEXT:
                yield place
                size = 0
            size += len(text)
    yield len(texts)


def _holders(answer: Sequence[Any]) -> list[Any]:
    holders = iter(answer[3])
    return [None if flag == 49 else next(holders) for flag in answer[2]]


def _truths(answer: Sequence[Any]) -> list[Any]:
    return [flag == 49 for flag in answer[2]]  # ord("1")


PUT: Kind[Put] = Kind(scripts.PUT, wire.put_item, lambda item: item.record.agent_id, _holders)
PATCH: Kind[Patch] = Kind(scripts.PATCH, wire.patch_item, lambda item: item.agent_id, _truths)
DELETE: Kind[Delete] = Kind(scripts.DELETE, wire.delete_item, lambda item: item.agent_id, _truths)
RENEW: Kind[Renew] = Kind(scripts.RENEW, wire.renew_item, lambda item: item.agent_id, _truths)
