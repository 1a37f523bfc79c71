"""Work in threads, in forked children and in fresh interpreters, where hanging is a failure."""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

import agentreg

T = TypeVar("T")

PACKAGE_HOME = str(Path(agentreg.__file__).parent.parent)


def run_threads(*functions: Callable[[], T], timeout: float = 60.0) -> list[T]:
    """The results of *functions*, each in a thread of its own, all set off together.

    Raises what the first of them raised; of threads that are not back in
    time, the stacks are shown.
    """
    start = threading.Barrier(len(functions))
    results: dict[int, T] = {}
    failures: list[BaseException] = []

    def run(index: int, function: Callable[[], T]) -> None:
        try:
            start.wait(timeout)
            results[index] = function()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(functions)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if failures:
        raise failures[0]
    stuck = [thread.ident for thread in threads if thread.is_alive()]
    if stuck:
        stacks = ["".join(traceback.format_stack(sys._current_frames()[ident])) for ident in stuck if ident]
        pytest.fail(f"{len(stuck)} of {len(threads)} threads hang:\n\n" + "\n\n".join(stacks))
    return [results[index] for index in range(len(functions))]


def elsewhere(function: Callable[[], T]) -> T:
    """The result of *function*, called in another thread.

    Inside a callback, it shows that nobody holds a lock around that callback.
    """
    return run_threads(function, timeout=20.0)[0]


def run_in_fork(function: Callable[[], object], timeout: float = 30.0) -> None:
    """Call *function* in a forked child; a failure there, or no return, is one here."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            faulthandler.dump_traceback_later(timeout * 0.9, file=writer)
            function()
            status = 0
        except BaseException:
            os.write(writer, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(status)
    os.close(writer)
    complaint = b""
    try:
        while select.select([reader], [], [], timeout)[0] and (piece := os.read(reader, 65536)):
            complaint += piece
        if not select.select([reader], [], [], 0)[0]:
            complaint = b"it hangs: " + complaint
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(reader)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        pytest.fail(f"the child ended with {status}: {complaint.decode()}")


def run_python(code: str, *flags: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run *code* in a fresh interpreter, where warnings are errors; not being through in time is a failure."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", *flags, "-c", code],
        env={**os.environ, "PYTHONPATH": PACKAGE_HOME},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
