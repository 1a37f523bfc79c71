"""Whose turn it is: one change at a time under one lock, and the telling of it afterwards.

A finalizer or a signal handler may run in the middle of a change, in its
thread, and ask for another. So may the registry, which must not wait. Such
changes are put off: whoever is at it makes them next. One lock serves all
managers, because a finalizer in a change of one may use another.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from agentreg.extensions.resources.errors import ResourceError

__all__ = ["Book", "change", "lock", "look", "put_off"]

T = TypeVar("T")

PATIENCE = 1.0  # seconds; the lock is held for microseconds

lock = threading.RLock()


class Book(Protocol):
    """What is changed: the state of one manager."""

    clock: Callable[[], float]

    def attempt(self, step: Callable[..., Any], now: float, arguments: tuple[Any, ...]) -> None:
        """Make a change that was put off; nobody is there any more to hear of an error."""

    def tell(self) -> None:
        """Wake and tell whom the changes concern; called without the lock."""


class _Turn:
    """Attributes: busy: whether a change is being made. waiting: what was put off. untold: whose changes to tell."""

    def __init__(self) -> None:
        self.busy = False
        self.waiting: deque[tuple[Book, Callable[..., Any], float, tuple[Any, ...]]] = deque()
        self.untold: deque[Book] = deque()


_turn = _Turn()


def change(book: Book, step: Callable[..., T], *arguments: Any, later: Callable[[], T] | None = None) -> T:
    """What *step* gives, called under the lock with the time and *arguments*; then whom it concerns is told.

    From inside another change of this thread it is put off, and *later*
    gives the result; so it is if the lock can't be had within `PATIENCE`,
    which means that its holder waits for what this thread holds.

    Raises:
        ResourceError: it would have to be put off, and there is no *later*.
    """
    now = book.clock()
    if not lock.acquire(timeout=PATIENCE if later is not None else -1):
        return _later(book, step, now, arguments, later)
    try:
        busy = _turn.busy
        result = _later(book, step, now, arguments, later) if busy else _alone(step, now, *arguments)
    except BaseException:
        _release_and_settle()
        raise
    lock.release()
    if not busy:
        book.tell()
        _settle()
    return result


def _release_and_settle() -> None:
    lock.release()
    _settle()


def look(question: Callable[..., T], *arguments: Any) -> T:
    """What *question* gives, called under the lock; from inside a change, it may see half of that."""
    with lock:
        answer = question(*arguments) if _turn.busy else _alone(question, *arguments)
    _settle()
    return answer


def _alone(step: Callable[..., T], *arguments: Any) -> T:
    _turn.busy = True
    try:
        _catch_up()
        return step(*arguments)
    finally:
        _turn.busy = False


def put_off(book: Book, step: Callable[..., Any], *arguments: Any) -> None:
    """Have *step* made without waiting: now, or by who holds the lock."""
    _turn.waiting.append((book, step, book.clock(), arguments))
    _settle()


def _later(
    book: Book, step: Callable[..., T], now: float, arguments: tuple[Any, ...], later: Callable[[], T] | None
) -> T:
    if later is None:
        raise ResourceError(
            "called from inside another call of the same thread, by a finalizer or a signal handler: only allocate, "
            "release and cancel can be called there"
        )
    result = later()
    _turn.waiting.append((book, step, now, arguments))
    _settle()
    return result


def _catch_up() -> None:
    while _turn.waiting:
        book, step, now, arguments = _turn.waiting.popleft()
        _turn.untold.append(book)
        book.attempt(step, now, arguments)


def _settle() -> None:
    """Make what was put off, and tell; the thread that holds the lock does it when it is through."""
    while (_turn.waiting or _turn.untold) and lock.acquire(blocking=False):
        try:
            if _turn.busy:
                return
            _alone(_nothing)
            books = {id(book): book for book in _emptied(_turn.untold)}
        finally:
            lock.release()
        for book in books.values():
            book.tell()


def _nothing() -> None:
    """What is made where there is only something to catch up with."""


def _emptied(books: deque[Book]) -> list[Book]:
    found = list(books)
    books.clear()
    return found


if hasattr(os, "register_at_fork"):
    # a child must not inherit the lock from a thread that it doesn't have, nor a half-made change
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
