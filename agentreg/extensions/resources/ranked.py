"""Things in the order of their ranks: the search structure beneath hosts and lines."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, Generic, TypeAlias, TypeVar

__all__ = ["LOWEST", "Rank", "Ranked"]

T = TypeVar("T")
Rank: TypeAlias = Any
"""What can be compared with the other ranks of its structure, and is none of them: a number, or a tuple."""

LOWEST: Rank = None  # before every other rank
ANY = float("-inf")
LOAD = 512  # things in a bucket; it is split at twice as many


class _Bucket(Generic[T]):
    """Neighbours in three lists, side by side; the heaviest weight is looked for when it is asked for."""

    __slots__ = ("ranks", "things", "top", "weights")

    def __init__(self, ranks: list[Rank], weights: list[float], things: list[T]) -> None:
        self.ranks = ranks
        self.weights = weights
        self.things = things
        self.top: float | None = None

    def heaviest(self) -> float:
        if self.top is None:
            self.top = max(self.weights)
        return self.top


class Ranked(Generic[T]):
    """Things by rank (which no other has), each with a weight.

    A sorted list in buckets: entering, leaving and finding by rank cost two
    binary searches. A search by weight passes over whole buckets in which
    nothing is heavy enough. Thread-safe: no; the manager's lock guards it.

    >>> hosts = Ranked()
    >>> hosts.add((8, 1), 2.0, "small")
    >>> hosts.add((64, 2), 0.5, "busy")
    >>> hosts.add((64, 3), 4.0, "large")
    >>> hosts.first((10,)), hosts.first((10,), weight=1.0), hosts.first((65,))
    ('busy', 'large', None)
    """

    __slots__ = ("_buckets", "_lasts", "_size")

    def __init__(self) -> None:
        self._buckets: list[_Bucket[T]] = []
        self._lasts: list[Rank] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, rank: Rank, weight: float, thing: T) -> None:
        """Enter *thing*; nothing else may have the rank."""
        self._size += 1
        if not self._buckets:
            self._buckets.append(_Bucket([rank], [weight], [thing]))
            self._lasts.append(rank)
            return
        number = min(bisect_left(self._lasts, rank), len(self._lasts) - 1)
        bucket = self._buckets[number]
        place = bisect_left(bucket.ranks, rank)
        bucket.ranks.insert(place, rank)
        bucket.weights.insert(place, weight)
        bucket.things.insert(place, thing)
        if bucket.top is not None and weight > bucket.top:
            bucket.top = weight
        self._lasts[number] = bucket.ranks[-1]
        if len(bucket.ranks) > 2 * LOAD:
            self._split(number)

    def remove(self, rank: Rank) -> None:
        """Take out what has *rank*; it must be there."""
        number = bisect_left(self._lasts, rank)
        bucket = self._buckets[number]
        place = bisect_left(bucket.ranks, rank)
        assert bucket.ranks[place] == rank
        del bucket.ranks[place], bucket.things[place]
        if bucket.weights.pop(place) == bucket.top:
            bucket.top = None
        self._size -= 1
        if bucket.ranks:
            self._lasts[number] = bucket.ranks[-1]
        else:
            del self._buckets[number], self._lasts[number]

    def first(self, at_least: Rank = LOWEST, weight: float = ANY) -> T | None:
        """The first thing from rank *at_least* on that is *weight* or heavier; None if there is none."""
        return next(self.walk(at_least, weight), None)

    def after(self, rank: Rank, weight: float = ANY) -> T | None:
        """The same, for ranks behind *rank*, which need not be there any more."""
        return next(self._from(bisect_right, rank, weight), None)

    def walk(self, at_least: Rank = LOWEST, weight: float = ANY) -> Iterator[T]:
        """All of them, in order; nothing may enter or leave meanwhile."""
        return self._from(bisect_left, at_least, weight)

    def backwards(self) -> Iterator[T]:
        """All things, from the last to the first; nothing may enter or leave meanwhile."""
        for bucket in reversed(self._buckets):
            yield from reversed(bucket.things)

    def heaviest(self) -> float:
        """The largest weight; minus infinity of nothing."""
        return max((bucket.heaviest() for bucket in self._buckets), default=ANY)

    def _from(self, search: Any, rank: Rank, weight: float) -> Iterator[T]:
        first = 0 if rank is None else search(self._lasts, rank)
        for number in range(first, len(self._buckets)):
            bucket = self._buckets[number]
            start = 0 if rank is None or number > first else search(bucket.ranks, rank)
            if weight != ANY and bucket.heaviest() < weight:
                continue
            for place in range(start, len(bucket.ranks)):
                if bucket.weights[place] >= weight:
                    yield bucket.things[place]

    def _split(self, number: int) -> None:
        left = self._buckets[number]
        right = _Bucket(left.ranks[LOAD:], left.weights[LOAD:], left.things[LOAD:])
        del left.ranks[LOAD:], left.weights[LOAD:], left.things[LOAD:]
        left.top = None
        self._buckets.insert(number + 1, right)
        self._lasts.insert(number, left.ranks[-1])
