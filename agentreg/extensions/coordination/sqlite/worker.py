"""A thread that does the blocking work of an event loop, a round at a time."""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

__all__ = ["Request", "Worker"]

IDLE = 1.0  #: seconds after which a thread that nobody needs ends

_numbers = itertools.count(1)


class Request:
    """Something to do, and the future of its result. Cancelled before its round, it is not done at all."""

    __slots__ = ("future", "what")

    def __init__(self, what: Any) -> None:
        self.what = what
        self.future: Future[Any] = Future()

    def begin(self) -> bool:
        """Whether it is still wanted; from now on it can't be cancelled."""
        return self.future.set_running_or_notify_cancel()

    def cancelled(self) -> bool:
        """Whether nobody wants it any more."""
        return self.future.cancelled()


class Worker:
    """Requests, and a daemon thread for them that starts with the first and ends when there have been none for long.

    Thread-safe: all of it.

    Attributes:
        stays: Whether it is kept until `close`.

    Args:
        name: The thread's.
        round: Does one round of work, in the thread.
        pause: Says after how many seconds there is to be a round even
            without a request; None: never. Called with the worker's lock held.
        rest: Called in the thread when it ends.
    """

    def __init__(
        self,
        name: str,
        round: Callable[[], None],
        pause: Callable[[], float | None],
        rest: Callable[[], None],
    ) -> None:
        self._name = name
        self._round = round
        self._pause = pause
        self._rest = rest
        self._renew()
        _all.add(self)

    def _renew(self) -> None:
        self._mutex = threading.Lock()
        self._bell = threading.Lock()  # a Condition costs half as much again, fifty times a second
        self._bell.acquire()
        self._requests: deque[Request] = deque()
        self._woken = False
        self.stays = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._last: threading.Thread | None = None
        self._ended: Future[None] = Future()
        self._ended.set_result(None)

    def submit(self, what: Any) -> Future[Any]:
        """Have *what* done in one of the next rounds."""
        request = Request(what)
        with self._mutex:
            self._requests.append(request)
            self._go_on()
        return request.future

    def wake(self) -> None:
        """Have a round soon, or have it think again how long to pause."""
        with self._mutex:
            self._woken = True
            self._go_on()

    def _go_on(self) -> None:
        if self._thread is None:
            name = f"agentreg-sqlite-{self._name}-{next(_numbers)}"
            self._ended = Future()
            self._ended.set_running_or_notify_cancel()  # whoever waits for it may give up, but not for all
            self._thread = self._last = threading.Thread(target=self._run, args=(self._ended,), name=name, daemon=True)
            self._closing = False
            self._thread.start()
        else:
            self._ring()

    def _ring(self) -> None:
        if self._bell.locked():
            self._bell.release()

    def take(self, most: int, weight: Callable[[Any], int] = lambda what: 1) -> list[Request]:
        """The next requests, until they weigh *most* together; none of them has begun."""
        taken: list[Request] = []
        with self._mutex:
            while self._requests and most > 0:
                taken.append(self._requests.popleft())
                most -= max(weight(taken[-1].what), 1)
        return taken

    def stay(self) -> None:
        """Keep the thread, once it has started, until `close`."""
        with self._mutex:
            self.stays, self._closing = True, False

    def close(self) -> Future[None]:
        """Do what was asked for, then end; the future is done when the thread is about to."""
        with self._mutex:
            self.stays, self._closing = False, True
            self._ring()
            return self._ended

    def join(self) -> None:
        """Wait for the thread, whose end `close` has told."""
        thread = self._last
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self, ended: Future[None]) -> None:
        try:
            while self._wait():
                self._round()
        finally:
            with self._mutex:
                if self._thread is threading.current_thread():
                    self._thread = None
            self._rest()
            ended.set_result(None)

    def _wait(self) -> bool:
        """Whether there is to be another round."""
        until = time.monotonic() + IDLE
        while True:
            with self._mutex:
                if self._requests or self._woken:
                    self._woken = False
                    return True
                pause = self._pause()
                if pause is not None and pause <= 0:
                    return True
                if self._closing or (pause is None and not self.stays and time.monotonic() >= until):
                    self._thread = None
                    return False
            self._bell.acquire(timeout=pause if pause is not None else -1 if self.stays else IDLE)


_all: weakref.WeakSet[Worker] = weakref.WeakSet()


def _forget() -> None:
    # a child has none of its parent's threads, and the requests are the parent's
    for worker in list(_all):
        worker._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
