"""Calls with an end: in time or not, cancelled or not, what came of them is known."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Outcome", "called", "perform", "uninterrupted"]

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What came of a call.

    Attributes:
        finished: Whether it came to its end without an error: then what it did is done, late or not.
        value: What it returned.
        error: What it raised, a ``TimeoutError`` if it ran over its time, or the cancellation; None if all went well.
    """

    finished: bool
    value: Any = None
    error: BaseException | None = None


async def perform(call: Callable[..., Any], argument: Any, timeout: float | None) -> Outcome:
    """Call *call*, and wait for its end. Never raises, not even when it is cancelled: the outcome tells."""
    task = asyncio.ensure_future(called(call, argument))
    interruption = await _ended(task, timeout)
    if task.cancelled():
        return Outcome(False, None, interruption or asyncio.CancelledError("the step cancelled itself"))
    error = task.exception()
    if error is not None and interruption is not None:
        interruption.__cause__ = error
    if error is not None:
        return Outcome(False, None, interruption or error)
    return Outcome(True, task.result(), interruption)


async def called(call: Callable[..., Any], *arguments: Any) -> Any:
    """What *call* gives, awaited where that is needed."""
    result = call(*arguments)
    return await result if inspect.isawaitable(result) else result


async def uninterrupted(work: Coroutine[Any, Any, T]) -> tuple[T, asyncio.CancelledError | None]:
    """What *work* gives, and the cancellation that came meanwhile and waits to be raised."""
    task = asyncio.ensure_future(work)
    cancellation = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    return task.result(), cancellation


async def _ended(task: asyncio.Future[Any], timeout: float | None) -> BaseException | None:
    """Wait until *task* is over; the time-out or the cancellation that cut it short, or None."""
    interruption: BaseException | None = None
    while not task.done():
        try:
            await asyncio.wait([task], timeout=timeout)
        except asyncio.CancelledError as error:
            interruption, timeout = error, None
            task.cancel()
            continue
        if not task.done():
            interruption, timeout = TimeoutError(f"not done within {timeout:g} s"), None
            task.cancel()
    return interruption
