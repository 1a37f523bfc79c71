"""Regular expressions that no pattern can make slow.

The standard library's `re` goes back and tries again: ``(a+)+b`` needs more
steps than there are atoms for a text of some hundred letters, and nothing
can interrupt it. What strangers send is therefore searched for here, by
walking through all possibilities at once, one character of the text at a
time. What a single character class or anchor means is left to `re`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial

__all__ = ["PATTERN_LIMIT", "STATE_LIMIT", "Pattern", "PatternError"]

PATTERN_LIMIT = 500  # characters of a pattern
STATE_LIMIT = 500  # places in a pattern, repetitions written out
_CACHE_LIMIT = 2_000  # steps remembered

_SPECIAL = frozenset(".^$*+?{}[]\\|()")
_FLAGS = re.compile(r"\(\?([aimsu]+)\)")
_QUANTIFIER = re.compile(r"(?:[*+?]|\{(?!\})(?P<low>[0-9]*)(?P<comma>,(?P<high>[0-9]*))?\})(?P<mode>[?+]?)")
_CLASS = re.compile(r"\[(?:\^?\]|(?!\^?\]))(?:\\.|[^\]\\])*\]", re.DOTALL)  # a bracket at its start does not close it
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|0[0-7]{0,2}|[^1-9])", re.DOTALL)
_GROUP = re.compile(r"\((?:\?:|\?P<\w+>|(?!\?))")
_TOKEN = re.compile(rf"\\.|{_CLASS.pattern}|.", re.DOTALL)
_AMBIGUOUS = re.compile(r"^\[\^?\[|--|&&|~~|\|\|")  # in a class: may come to mean something else in a later Python
_ANCHORS = frozenset(["^", "$", r"\A", r"\Z", r"\b", r"\B"])

_Test = Callable[[str], bool]
_Build = Callable[[int], int]  # from the state that follows, to the first of its own


class PatternError(ValueError):
    """A pattern is malformed, too large, or asks for what can't be had in linear time."""


class Pattern:
    """A regular expression in `re`'s syntax, compiled, and searched for in linear time.

    Left out is what can't be searched for that way: back references,
    look-ahead and look-behind, atomic groups, possessive quantifiers and
    flags within the pattern (``(?i)`` at its start is fine).

    A search takes time in proportion to the length of the text, times the
    size of the pattern at most. Thread-safe: yes; what threads share is a
    cache, of which any entry may go at any time.

    >>> Pattern("secur(e|ity)").search("audits code for security")
    True
    >>> Pattern("(a+)+b").search("a" * 1000)
    False
    """

    def __init__(self, text: str) -> None:
        """Compile *text*.

        Raises:
            PatternError: it can't be compiled; the message says where and why.
        """
        if len(text) > PATTERN_LIMIT:
            raise PatternError(f"it has {len(text)} characters; at most {PATTERN_LIMIT} are allowed")
        self.text = text
        self._machine = None if _SPECIAL.isdisjoint(text) else _compiled(text)

    def search(self, subject: str) -> bool:
        """Whether the pattern is found anywhere in *subject*."""
        return self._machine.search(subject) if self._machine else self.text in subject


def _compiled(text: str) -> _Machine:
    _check_forms(text)
    try:
        re.compile(text)  # what it accepts, and only that, is read below
        return _Machine(text)
    except re.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}"
        raise PatternError(f"{error.msg}{where}") from error
    except (RecursionError, OverflowError) as error:
        raise PatternError(f"it is too deep or repeats too often ({error})") from error


def _check_forms(text: str) -> None:
    """Refuse what is not supported, and what `re` would warn of: a stranger's pattern is no business of ours."""
    for found in _TOKEN.finditer(text):
        part, place = found[0], found.start()
        where = f"at character {place + 1}"
        if part == "[":
            raise PatternError(f"unterminated character set {where}")
        if part.startswith("[") and _AMBIGUOUS.search(part):
            raise PatternError(f"[[, --, &&, ~~ or || in a character set {where}; put a backslash before each")
        if part == "(" and not _GROUP.match(text, place) and not (place == 0 and _FLAGS.match(text)):
            raise PatternError(
                f"of the forms that begin with (? only (?:...), (?P<name>...), and flags at the very start such as "
                f"(?i) are supported ({where}: {text[place : place + 12]!r})"
            )


class _Places:
    """A set of states, and what becomes of it with each character so far seen."""

    __slots__ = ("after", "found", "states", "waits")

    def __init__(self, states: frozenset[int], waits: bool) -> None:
        self.states = states
        self.waits = waits  # for an anchor
        self.found = 0 in states
        self.after: dict[str, _Places] = {}


class _Machine:
    """A pattern as states, and the walk through them.

    A set of states stands for every way in which the text so far can be the
    beginning of what is looked for. A state that waits for an anchor stays
    in the set until the place in the text has shown whether it holds.
    """

    def __init__(self, text: str) -> None:
        self.tests: dict[int, _Test] = {}  # state -> whether it takes a character
        self.anchors: dict[int, re.Pattern[str]] = {}  # state -> what has to hold there
        self.following: list[list[int]] = [[]]  # state -> the states behind it; 0 is the end
        build = _Parser(self, text, _FLAGS.match(text)).whole()
        self._first = self._reach([build(0)])
        self._kinds = dict.fromkeys(self.anchors.values())
        self._forget()

    def _forget(self) -> None:
        self._known: dict[frozenset[int], _Places] = {}
        self._remembered = 0
        self._begin = self._places(self._first)

    def _places(self, states: frozenset[int]) -> _Places:
        known = self._known.get(states)
        if known is None:
            known = self._known[states] = _Places(states, not states.isdisjoint(self.anchors))
        return known

    def add(self, following: Iterable[int] = ()) -> int:
        """A new state in front of others."""
        if len(self.following) >= STATE_LIMIT:
            raise PatternError(f"with its repetitions written out it has more than {STATE_LIMIT} places; repeat less")
        self.following.append(list(following))
        return len(self.following) - 1

    def search(self, subject: str) -> bool:
        current = self._begin
        for place, character in enumerate(subject):
            if current.waits:
                current = self._past_anchors(current, subject, place)
            if current.found:
                return True
            current = current.after.get(character) or self._step(current, character)
        return self._past_anchors(current, subject, len(subject)).found

    def _step(self, current: _Places, character: str) -> _Places:
        taken = [state for state in current.states if state in self.tests and self.tests[state](character)]
        states = self._first | self._reach([after for state in taken for after in self.following[state]])
        if self._remembered >= _CACHE_LIMIT:
            self._forget()
        self._remembered += 1
        result = current.after[character] = self._places(states)
        return result

    def _past_anchors(self, current: _Places, subject: str, place: int) -> _Places:
        holds = {kind for kind in self._kinds if kind.match(subject, place)}
        return self._places(self._reach(current.states, holds))

    def _reach(self, states: Iterable[int], holds: Iterable[re.Pattern[str]] = ()) -> frozenset[int]:
        """*states* and those behind them that can be reached without taking a character."""
        reached = set(states)
        waiting = list(reached)
        while waiting:
            state = waiting.pop()
            if state in self.tests or (state in self.anchors and self.anchors[state] not in holds):
                continue
            fresh = [after for after in self.following[state] if after not in reached]
            reached.update(fresh)
            waiting += fresh
        return frozenset(reached)


class _Parser:
    """Reads a pattern that `re` accepts, and says how to build its states.

    Each part becomes a function, so that a repetition can build it again.
    """

    def __init__(self, machine: _Machine, text: str, flags: re.Match[str] | None) -> None:
        self._machine = machine
        self._text = text
        self._place = flags.end() if flags else 0
        self._flags = flags[0] if flags else ""
        self._ignores_case = "i" in self._flags

    def whole(self) -> _Build:
        build = self._alternatives()
        if self._place < len(self._text):
            raise self._refused("this can't be read")
        return build

    def _alternatives(self) -> _Build:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else partial(self._either, branches)

    def _sequence(self) -> _Build:
        parts: list[_Build] = []
        while self._place < len(self._text) and self._text[self._place] not in "|)":
            parts.append(self._quantified(self._atom()))
        return partial(self._one_by_one, parts)

    def _quantified(self, part: _Build) -> _Build:
        found = _QUANTIFIER.match(self._text, self._place)
        if found is None:
            return part
        if found["mode"] == "+":
            raise self._refused("possessive quantifiers are not supported")
        self._place = found.end()
        return partial(self._repeated, part, *_bounds(found))

    def _atom(self) -> _Build:
        if self._text[self._place] == "(":
            return self._group()
        written = self._written()
        if written in _ANCHORS:
            return partial(self._anchor, re.compile(self._flags + written))
        if len(written) == 1 and written != "." and not self._ignores_case:
            return partial(self._one, written.__eq__)
        return partial(self._one, re.compile(self._flags + written).fullmatch)  # type: ignore[arg-type]

    def _written(self) -> str:
        """The one character, class or escape that is next, as a pattern of its own."""
        form = {"[": _CLASS, "\\": _ESCAPE}.get(self._text[self._place])
        found = form.match(self._text, self._place) if form else None
        if form and not found:
            raise self._refused("back references are not supported")
        written = found[0] if found else self._text[self._place]
        self._place += len(written)
        return "\\{" if written == "{" else written

    def _group(self) -> _Build:
        found = _GROUP.match(self._text, self._place)
        self._place = found.end() if found else len(self._text)
        inner = self._alternatives()
        self._take(")")
        return inner

    def _take(self, character: str) -> bool:
        found = self._text.startswith(character, self._place)
        self._place += found
        return found

    def _refused(self, reason: str) -> PatternError:
        place = self._place
        return PatternError(f"{reason} (at character {place + 1}: {self._text[place : place + 12]!r})")

    # -- building -----------------------------------------------------------

    def _one(self, test: _Test, after: int) -> int:
        state = self._machine.add([after])
        self._machine.tests[state] = test
        return state

    def _anchor(self, kind: re.Pattern[str], after: int) -> int:
        state = self._machine.add([after])
        self._machine.anchors[state] = kind
        return state

    def _either(self, branches: list[_Build], after: int) -> int:
        return self._machine.add([branch(after) for branch in branches])

    def _one_by_one(self, parts: list[_Build], after: int) -> int:
        for part in reversed(parts):
            after = part(after)
        return after

    def _repeated(self, part: _Build, low: int, high: int | None, after: int) -> int:
        if high is None:
            again = self._machine.add([after])
            self._machine.following[again].append(part(again))
            after = again
        for _ in range((high or low) - low):
            after = self._machine.add([after, part(after)])
        for _ in range(low):
            before, after = after, part(after)
            if before == after:  # nothing, however often, is nothing
                break
        return after


def _bounds(found: re.Match[str]) -> tuple[int, int | None]:
    if found["low"] is None:
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[found[0][0]]
    low = int(found["low"] or 0)
    if found["comma"] is None:
        return low, low
    return low, int(found["high"]) if found["high"] else None
