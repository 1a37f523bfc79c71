"""Ends of processes, told by the system or looked for."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from agentreg.extensions.coordination.processes import find_process
from agentreg.extensions.service import endings
from agentreg.extensions.service.endings import Endings

from .driving import child, run


@run
async def test_the_end_of_a_process_is_told_or_found() -> None:
    news = asyncio.Event()
    following = Endings(news.set)
    with child() as process:
        known = find_process(process.pid)
        assert following.among([known]) == set()
        process.kill()
        if sys.platform == "linux":
            await asyncio.wait_for(news.wait(), 10)
        process.wait()
        assert following.among([known]) == {known}
        assert following.among([known]) == {known}
    following.close()


@run
async def test_without_files_to_spare_processes_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "_most", lambda: 0)
    following = Endings(lambda: pytest.fail("nobody has told"))
    with child() as process:
        known = find_process(process.pid)
        assert following.among([known]) == set()
        process.kill()
        process.wait()
        assert following.among([known]) == {known}


@run
async def test_the_successor_of_a_process_id_is_not_taken_for_it() -> None:
    following = Endings(lambda: None)
    known = find_process(os.getpid())._replace(start=1)
    assert following.among([known]) == {known}
    following.close()


@pytest.mark.skipif(sys.platform != "linux", reason="pidfds are Linux's")
@run
async def test_who_is_not_asked_for_any_more_takes_no_file() -> None:
    following = Endings(lambda: None)
    with child() as process:
        before = len(os.listdir("/proc/self/fd"))
        following.among([find_process(process.pid)])
        during = len(os.listdir("/proc/self/fd"))
        following.among([])
        after = len(os.listdir("/proc/self/fd"))
        process.kill()
    assert during >= before
    assert after == before


@run
async def test_a_process_id_that_no_system_gives_hides_nobody_elses_end() -> None:
    following = Endings(lambda: None)
    impossible = find_process(os.getpid())._replace(pid=2**32 - 1)
    with child() as process:
        known = find_process(process.pid)
        process.kill()
        process.wait()
        assert following.among([impossible, known]) == {impossible, known}
    following.close()
