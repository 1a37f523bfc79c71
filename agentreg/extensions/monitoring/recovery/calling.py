"""Calls of foreign functions, coroutine functions or plain ones, within a time."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Caller", "OverTimeError"]


class OverTimeError(Exception):
    """A call has not come back in time."""


class Caller:
    """Calls, each in the name of something; one that is stuck is not called again until it has come back.

    A coroutine that is over its time is cancelled. A plain function runs in
    a daemon thread of its own, which can't be stopped: it is left to itself.
    What it raises or gives then is lost.

    Not thread-safe: it belongs to one event loop at a time.
    """

    def __init__(self) -> None:
        self._under_way: dict[object, asyncio.Future[Any]] = {}
        self._threads: dict[object, threading.Thread] = {}

    async def call(self, name: object, seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
        """What *function* gives, or raises. Raises OverTimeError after *seconds*."""
        if self._is_stuck(name):
            raise OverTimeError("an earlier call has not come back yet")
        task = self._under_way[name] = asyncio.ensure_future(self._called(name, function, arguments))
        task.add_done_callback(lambda done: self._over(name, done))
        try:
            # not wait_for: it would wait for who ignores being cancelled
            await asyncio.wait({task}, timeout=None if math.isinf(seconds) else seconds)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.sleep(0)  # who lets itself be cancelled has ended then
        if task.cancelled() or not task.done():
            raise OverTimeError(f"not through within {seconds:g} s")
        return task.result()

    def _is_stuck(self, name: object) -> bool:
        task, thread = self._under_way.get(name), self._threads.get(name)
        return (task is not None and not task.done()) or (thread is not None and thread.is_alive())

    def _over(self, name: object, task: asyncio.Future[Any]) -> None:
        if self._under_way.get(name) is task:
            del self._under_way[name]
        if not task.cancelled():
            task.exception()  # nobody may be there any more to look at it

    async def _called(self, name: object, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            return await function(*arguments)
        future, thread = _in_a_thread(function, arguments)
        self._threads[name] = thread
        try:
            result = await future
        finally:
            if not future.cancelled():
                thread.join()  # it has nothing left to do, but may still hold what it gave
                self._threads.pop(name, None)
        return await result if inspect.isawaitable(result) else result


def _in_a_thread(
    function: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[asyncio.Future[Any], threading.Thread]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def work() -> None:
        try:
            outcome: tuple[Any, BaseException | None] = function(*arguments), None
        except BaseException as error:
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # the loop has ended before the call
            loop.call_soon_threadsafe(_settle, future, outcome)

    thread = threading.Thread(target=work, name="agentreg-recovery", daemon=True)
    thread.start()
    return future, thread


def _settle(future: asyncio.Future[Any], outcome: tuple[Any, BaseException | None]) -> None:
    value, error = outcome
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(f"it ended with {error!r}"))
