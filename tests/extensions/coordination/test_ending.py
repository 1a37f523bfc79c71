"""Tasks that are told to end do, whatever becomes of the telling."""

from __future__ import annotations

import asyncio

import pytest

from agentreg.extensions.coordination.ending import end

from .stores import run


@run
async def test_a_task_that_has_lost_a_cancellation_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentreg.extensions.coordination.ending._PATIENCE", 0.01)
    losses = 0

    async def deaf() -> None:
        nonlocal losses
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:  # as wait_for does it when its time is up in the same moment
                if losses == 2:
                    raise
                losses += 1

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)

    await asyncio.wait_for(end([task]), 10)

    assert task.cancelled()
    assert losses == 2


@run
async def test_how_a_task_ends_is_of_no_interest() -> None:
    async def failing() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise RuntimeError("on the way out")

    tasks = [asyncio.create_task(failing()), asyncio.create_task(asyncio.sleep(0))]
    await asyncio.sleep(0)

    await end(tasks)
    await end([])

    assert [task.done() for task in tasks] == [True, True]
