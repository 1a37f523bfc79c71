"""Names and what they can do: a table of capabilities, and an index over their texts."""

from __future__ import annotations

import operator
import re
import sys
from array import array
from collections import Counter
from collections.abc import Hashable, Iterable
from itertools import islice
from typing import Generic, TypeVar

__all__ = ["CapabilityIndex"]

K = TypeVar("K", bound=Hashable)

_NEVER = sys.maxsize  # above every rank
_FEW = 128  # capabilities that are searched one by one, without an index
_PIECE = re.compile(r"[^\W_]+|(?:[^\w\s]|_)+")  # letters and digits, or other characters; never white space


class CapabilityIndex:
    """Names and what they can do, in memory.

    A name has a rank from the moment it is entered or, before that, from
    its first declaration; results come in the order of ranks.

    Thread-safe: no. Reading may change it, too: hold a lock of your own.

    Attributes:
        lookup: Text -> that very capability, or None.

    >>> index = CapabilityIndex()
    >>> index.enter("ann", ["German translation", "proofreading"])
    >>> index.declare("bob", "translation")
    >>> index.search("translation")
    ['bob', 'ann']
    >>> index.leave("bob")
    >>> index.search("translation")
    ['ann']
    """

    def __init__(self) -> None:
        self._rank = 0  # the last one given
        self._ranks: dict[str, int] = {}  # of the names that are entered
        self._held: dict[str, list[Capability]] = {}
        self._capabilities: dict[str, Capability] = {}
        self.lookup = self._capabilities.get
        self._search: _SearchIndex | None = None
        self._holes = 0

    # -- changing it --------------------------------------------------------

    def enter(self, name: str, capabilities: Iterable[str] = ()) -> None:
        """*name* is there now, behind all others, with *capabilities* and those declared before."""
        self._rank += 1
        self._ranks[name] = self._rank
        for capability in self._held.get(name, ()):
            capability.put(name, self._rank)
        for text in capabilities:
            self.declare(name, text)

    def leave(self, name: str) -> None:
        """*name* is gone, and so is everything it could do."""
        if self._ranks.pop(name, None) is not None:
            self._holes += 1
        held = self._held.pop(name, None)
        for capability in held or ():
            self._lose(capability, name)
        if self._holes > 1024 and self._holes > 2 * (len(self._ranks) + len(self._capabilities)):
            self._compact()

    def declare(self, name: str, text: str) -> None:
        """*name*, entered or not, can do *text*."""
        capability = self._capabilities.get(text)
        if capability is None:
            capability = self._capabilities[text] = Capability(text)
        elif name in capability.ranks:
            return
        low = capability.low
        held = self._held.setdefault(name, [])
        capability.put(name, self._rank_of(name, held))
        held.append(capability)
        if self._search is not None and capability.low < low:
            self._search.put(capability)

    def withdraw(self, name: str, text: str) -> None:
        """*name* can't do *text* any more; nothing happens if it never could."""
        capability = self._capabilities.get(text)
        if capability is None or name not in capability.ranks:
            return
        held = self._held[name]
        held.remove(capability)
        if not held:
            del self._held[name]
        self._lose(capability, name)

    def _rank_of(self, name: str, held: list[Capability]) -> int:
        rank = held[0].ranks[name] if held else self._ranks.get(name)
        if rank is None:
            rank = self._rank = self._rank + 1
        return rank

    def _lose(self, capability: Capability, name: str) -> None:
        capability.drop(name)
        if not capability.ranks:
            del self._capabilities[capability.text]
            self._holes += 1
            if self._search is not None:
                self._search.drop(capability)

    def _compact(self) -> None:
        # a dict never shrinks on deletion: copy what is left into fresh ones
        self._ranks, self._held, self._capabilities = dict(self._ranks), dict(self._held), dict(self._capabilities)
        self.lookup = self._capabilities.get
        self._holes = 0

    # -- asking it ----------------------------------------------------------

    def names(self) -> list[str]:
        """The names that are entered, in the order of ranks."""
        return list(self._ranks)

    def rank(self, name: str) -> int:
        """The rank of a name that is entered; KeyError for any other."""
        return self._ranks[name]

    def capabilities(self) -> list[str]:
        """Every capability that some name has."""
        return list(self._capabilities)

    def capabilities_of(self, name: str) -> tuple[str, ...]:
        """What *name* can do, in the order of declaration."""
        return tuple([capability.text for capability in self._held.get(name, ())])

    def find(self, text: str) -> list[str]:
        """The names that have exactly this capability."""
        capability = self._capabilities.get(text)
        return list(capability.ordered()) if capability is not None else []

    def find_all_of(self, texts: Iterable[str]) -> list[str]:
        """The names that have every one of these capabilities."""
        found = [self._capabilities[text].ranks if text in self._capabilities else {} for text in texts]
        fewest = min(found, key=len, default={})
        return _by_rank({name: rank for name, rank in fewest.items() if all(name in ranks for ranks in found)})

    def find_any_of(self, texts: Iterable[str]) -> list[str]:
        """The names that have at least one of these capabilities."""
        found: dict[str, int] = {}
        for text in texts:
            if text in self._capabilities:
                found.update(self._capabilities[text].ranks)
        return _by_rank(found)

    def find_best_match(self, texts: Iterable[str]) -> str | None:
        """The name that has most of these capabilities, the lowest rank among equals."""
        ranks: dict[str, int] = {}
        counts: Counter[str] = Counter()
        for text in texts:
            if text in self._capabilities:
                ranks.update(self._capabilities[text].ranks)
                counts.update(list(self._capabilities[text].ranks))
        most = max(counts.values(), default=0)
        return min((name for name in counts if counts[name] == most), key=ranks.__getitem__, default=None)

    def search(self, text: str, limit: int | None = None) -> list[str]:
        """The names with a capability that contains *text*, the best first; see `CapabilityMixin.search`."""
        if self._search is None and len(self._capabilities) <= _FEW:
            return self.scan(text, limit)
        text = _sought(text, limit)
        if self._search is None:
            self._search = _SearchIndex(self._capabilities.values())
        return self._search.search(text, None if limit is not None and limit >= len(self._held) else limit)

    def scan(self, text: str, limit: int | None = None) -> list[str]:
        """The same as `search`, capability by capability; changes nothing by asking."""
        text = _sought(text, limit)
        return _best([c for c in self._capabilities.values() if text in c.lower], text, limit)


def _sought(text: str, limit: int | None) -> str:
    if not text or text.isspace():
        raise ValueError(f"text to search for: expected something to look for, got {text!r}")
    if limit is not None and limit < 0:
        raise ValueError(f"limit: expected None or a number from 0 up, got {limit}")
    return text.lower()


class _Ranking(Generic[K]):
    """Keys with their ranks, put in order when somebody looks.

    Attributes:
        ranks: Key -> rank; in order, but for what came in since `ordered`.
        low: No rank is below it; it may be too low once keys have left.
    """

    __slots__ = ("_high", "_holes", "_misplaced", "low", "ranks")

    def __init__(self) -> None:
        self.ranks: dict[K, int] = {}
        self.low = _NEVER
        self._high = 0
        self._misplaced = _NEVER  # the lowest rank that stands behind a higher one
        self._holes = 0

    def put(self, key: K, rank: int) -> None:
        """Enter *key* behind the others, or move it there; out of place if *rank* is not the highest."""
        self.ranks.pop(key, None)
        self.ranks[key] = rank
        if rank >= self._high:
            self._high = rank
        elif rank < self._misplaced:
            self._misplaced = rank
        if rank < self.low:
            self.low = rank

    @property
    def in_order(self) -> bool:
        """Whether `ranks` is in order already."""
        return self._misplaced == _NEVER

    def drop(self, key: K) -> None:
        """Take *key* out."""
        del self.ranks[key]
        self._holes += 1
        if self._holes > 32 and self._holes > 2 * len(self.ranks):
            self.ranks = dict(self.ranks)  # holes left by deletions would be passed by every reader
            self._holes = 0

    def ordered(self) -> dict[K, int]:
        """`ranks`, in order; costs as much as the keys that must change places."""
        if self._misplaced != _NEVER:
            behind: list[tuple[K, int]] = []
            try:
                while self.ranks and (not behind or behind[-1][1] >= self._misplaced):
                    behind.append(self.ranks.popitem())
            finally:
                self.ranks.update(sorted(behind, key=_second))
            self._misplaced = _NEVER
        return self.ranks


class Capability(_Ranking[str]):
    """One capability, and the names that have it."""

    __slots__ = ("lower", "text")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        lower = text.lower()
        self.lower = text if lower == text else lower

    def earliest(self) -> int:
        """The lowest rank of its names."""
        self.low = next(iter(self.ordered().values()))
        return self.low


# -- searching --------------------------------------------------------------


class _Bucket(_Ranking[Capability]):
    """The capabilities with one key, by (at most) the rank of their earliest name.

    Attributes:
        words: How many words each of them has, if the key is one of the
            words; 0 if it is only a part of some.
    """

    __slots__ = ("words",)

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words = words


class _SearchIndex:
    """Which capabilities contain a text.

    Keys are the words of a capability and their pieces: runs of letters and
    digits, and of other characters. What stands in a capability without a
    break stands in one of its pieces; so `_Fragments` finds the pieces, and
    these the capabilities.

    Sought as one word, a capability of n words scores 1/n if it has the
    word, else 0: a bucket is a score. In a bucket, capabilities stand in
    the order of their earliest names, so that a search with a limit stops
    early. When the earliest name leaves, its capability stands too far in
    front, which costs a look, until so many are met that they are moved.
    """

    def __init__(self, capabilities: Iterable[Capability]) -> None:
        self._buckets: dict[str, list[_Bucket]] = {}
        self._fragments = _Fragments()
        for capability in sorted(capabilities, key=operator.attrgetter("low")):
            self.put(capability)

    def put(self, capability: Capability) -> None:
        """Enter a capability, or one that has an earlier name than before."""
        for key, words in _keys(capability.lower):
            buckets = self._buckets.get(key)
            if buckets is None:
                buckets = self._buckets[key] = []
                if _PIECE.fullmatch(key):
                    self._fragments.add(key)
            bucket = next((bucket for bucket in buckets if bucket.words == words), None)
            if bucket is None:
                bucket = _Bucket(words)
                buckets.append(bucket)
                buckets.sort(key=operator.attrgetter("words"))
            bucket.put(capability, capability.low)

    def drop(self, capability: Capability) -> None:
        """Forget a capability that nobody has any more."""
        for key, words in _keys(capability.lower):
            buckets = self._buckets[key]
            bucket = next(bucket for bucket in buckets if bucket.words == words)
            bucket.drop(capability)
            if not bucket.ranks:
                buckets.remove(bucket)
            if not buckets:
                del self._buckets[key]
                self._fragments.discard(key)

    def search(self, text: str, limit: int | None) -> list[str]:
        """The names, best first; *text* is in lower case."""
        words = text.split()
        if len(words) > 1:
            return _best([c for b in self._narrowest(text) for c in b.ranks if text in c.lower], text, limit)
        names: list[str] = []
        if limit == 0:
            return names
        whole = [bucket for bucket in self._buckets.get(words[0], ()) if bucket.words]
        rest = "" if text == words[0] else text  # what the key doesn't say already
        for bucket in whole:
            names = _joined(names, [bucket], rest, limit)
            if limit is not None and len(names) >= limit:
                return names[:limit]
        parts = [bucket for bucket in self._narrowest(text) if bucket not in whole]
        return _joined(names, parts, text, limit)[:limit]

    def _narrowest(self, text: str) -> list[_Bucket]:
        """The buckets of the rarest piece of *text*; at its ends, a piece may be part of another."""
        choices = []
        for match in _PIECE.finditer(text):
            inner = match.start() and match.end() < len(text)
            pieces = [match.group()] if inner else self._fragments.containing(match.group())
            choices.append([bucket for piece in pieces for bucket in self._buckets.get(piece, ())])
        return choices[0] if len(choices) == 1 else min(choices, key=_size)


class _Fragments:
    """Which of the words put in contain a text: posting lists of all fragments of up to three characters."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._words: list[str] = []  # by number; empty where one was discarded
        self._postings: dict[str, array[int]] = {}

    def add(self, word: str) -> None:
        number = self._numbers[word] = len(self._words)
        self._words.append(word)
        for fragment in {word[i : i + n] for n in (1, 2, 3) for i in range(len(word) - n + 1)}:
            posting = self._postings.get(fragment)
            if posting is None:
                posting = self._postings[fragment] = array("I")
            posting.append(number)

    def discard(self, word: str) -> None:
        number = self._numbers.pop(word, None)
        if number is not None:
            self._words[number] = ""
        if len(self._words) > 64 + 2 * len(self._numbers):
            kept = list(self._numbers)
            self._numbers, self._words, self._postings = {}, [], {}
            for word in kept:
                self.add(word)

    def containing(self, text: str) -> list[str]:
        size = min(len(text), 3)
        postings = [self._postings.get(text[i : i + size], ()) for i in range(len(text) - size + 1)]
        return [word for number in min(postings, key=len) if text in (word := self._words[number])]


def _keys(lower: str) -> list[tuple[str, int]]:
    """Each piece and word of a capability with the number of its words; 0 if the piece is no word by itself."""
    words, pieces = set(lower.split()), set(_PIECE.findall(lower))
    return [(key, len(words) if key in words else 0) for key in words | pieces]


def _size(buckets: list[_Bucket]) -> int:
    return sum(len(bucket.ranks) for bucket in buckets)


def _joined(names: list[str], buckets: list[_Bucket], text: str, limit: int | None) -> list[str]:
    """*names*, and behind them those that *buckets* add."""
    more = _earliest(buckets, text, None if limit is None else limit + len(names))
    return list(dict.fromkeys(names + more)) if names else more


def _earliest(buckets: list[_Bucket], text: str, limit: int | None) -> list[str]:
    """The names with a capability in *buckets* that contains *text*, by rank: all, or at least the first *limit*."""
    found: dict[str, int] = {}
    if limit is None or _size(buckets) <= 4 * limit:
        for bucket in buckets:
            for capability in bucket.ranks:
                if not text or text in capability.lower:
                    found |= capability.ranks
        return _by_rank(found)
    last = _NEVER
    for bucket in buckets:
        late = []
        for capability, bound in bucket.ordered().items():
            if bound > last:
                break
            if text not in capability.lower:
                continue
            ranks = capability.ordered()
            found.update(islice(ranks.items(), limit))
            if len(found) > 2 * limit:
                found = dict(sorted(found.items(), key=_second)[:limit])
                last = max(found.values())
            if bound < capability.earliest():
                late.append(capability)
        if len(late) > limit:
            for capability in late:
                bucket.put(capability, capability.low)
    return _by_rank(found)


def _best(capabilities: Iterable[Capability], text: str, limit: int | None) -> list[str]:
    """The names of *capabilities*, ranked by the words these have in common with *text*, then by rank."""
    wanted = set(text.split())
    groups: dict[float, dict[str, int]] = {}
    for capability in capabilities:
        words = set(capability.lower.split())
        common = len(words & wanted)
        score = common / (len(words) + len(wanted) - common)
        groups.setdefault(score, {}).update(capability.ranks)
    found: dict[str, None] = {}
    for score in sorted(groups, reverse=True):
        found.update(dict.fromkeys(_by_rank(groups[score])))
        if limit is not None and len(found) >= limit:
            break
    return list(found)[:limit]


def _by_rank(ranks: dict[str, int]) -> list[str]:
    return sorted(ranks, key=ranks.__getitem__)


_second = operator.itemgetter(1)
