"""What processes really use: real ones, with real children."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from agentreg.extensions.resources import MeasuredUse, Usage, measure
from tests.extensions.resources.clocks import Clock
from tests.watchdog import run_python

MB = 1 << 20
WITH_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print("ready", flush=True)
sys.stdin.readline()
child.stdin.close()
child.wait()
"""
LARGE = """
import sys
data = bytearray(b"x") * (50 << 20)
print("ready", flush=True)
sys.stdin.readline()
"""
BUSY = """
import sys, time
while time.process_time() < 0.3:
    pass
print("ready", flush=True)
sys.stdin.readline()
"""


@contextmanager
def program(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that runs *code* and has said that it is ready; it ends when its input does."""
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def ticks_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def test_the_memory_of_a_process_is_measured() -> None:
    with program(LARGE) as process:
        usage = measure(process.pid)

    assert usage is not None
    assert (50 * MB < usage.memory < 150 * MB, usage.processes, usage.cores) == (True, 1, None)


def test_children_count_for_their_parent() -> None:
    with program(WITH_CHILD.format(child=LARGE)) as process:
        usage = measure(process.pid)
        alone = psutil.Process(process.pid).memory_info().rss

    assert usage is not None
    assert usage.processes == 2
    assert usage.memory > alone + 50 * MB


def test_the_processor_time_is_measured() -> None:
    with program(BUSY) as process:
        usage = measure(process.pid)

    assert usage is not None
    assert 0.25 <= usage.cpu < 5


def test_a_process_that_is_gone_has_no_usage() -> None:
    with program(LARGE) as process:
        start = psutil.Process(process.pid).create_time()

    assert measure(process.pid) is None
    assert measure(process.pid, start) is None


def test_a_process_that_ended_and_was_not_waited_for_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    usage = measure(process.pid)
    process.wait()

    assert usage is None


def test_another_process_under_the_same_id_is_not_measured() -> None:
    with program(LARGE) as process:
        start = psutil.Process(process.pid).create_time()
        known = [measure(process.pid, each) for each in (start, None, 0)]
        foreign = [measure(process.pid, each) for each in (start - 10, start + 10, 1)]
        looked = MeasuredUse().look({"it": (process.pid, start), "another": (process.pid, start - 10)})

    assert all(known)
    assert foreign == [None] * 3
    assert looked["it"] is not None
    assert looked["another"] is None


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="starts are given in ticks on Linux only")
def test_a_start_may_be_given_in_ticks_as_records_keep_it() -> None:
    with program(LARGE) as process:
        ticks = ticks_of(process.pid)
        usages = measure(process.pid, ticks), measure(process.pid, ticks + 1)

    assert usages[0] is not None
    assert usages[1] is None


def test_many_are_looked_at_in_one_pass() -> None:
    with program(LARGE) as large, program(WITH_CHILD.format(child=LARGE)) as parent:
        looks = MeasuredUse().look(
            {"large": (large.pid, None), "parent": (parent.pid, None), "gone": (2**22 + 5, None)}
        )

    assert [usage and usage.processes for usage in looks.values()] == [1, 2, None]
    assert list(looks) == ["large", "parent", "gone"]


def test_how_busy_a_process_is_shows_from_the_second_look_on() -> None:
    clock = Clock()
    looks = MeasuredUse(clock)
    code = BUSY.replace("sys.stdin.readline()", "sys.stdin.readline()\n" * 1)
    with program(f"print('ready', flush=True)\nimport sys\nsys.stdin.readline()\n{code}") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        first = looks.look({"it": (process.pid, None)})["it"]
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ready\n"
        clock.tick(2)
        second = looks.look({"it": (process.pid, None)})["it"]

    assert first is not None
    assert second is not None
    assert first.cores is None
    assert second.cores is not None
    assert second.cores == pytest.approx((second.cpu - first.cpu) / 2)
    assert second.cores > 0.1


@pytest.mark.parametrize("bad", [0, -1, True, "1", None, 1.0])
def test_a_bad_pid_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="pid: expected a whole number above 0"):
        measure(bad)
    with pytest.raises(ValueError, match="pid: expected a whole number above 0"):
        MeasuredUse().look({"it": (bad, None)})


def test_without_psutil_measuring_says_what_to_install_and_the_rest_works() -> None:
    outcome = run_python("""
import sys
sys.modules["psutil"] = None
from agentreg.extensions.resources import ResourceManager, measure
assert ResourceManager().allocate("ann").granted
try:
    measure(1)
except ImportError as error:
    print(error)
""")

    assert (outcome.stdout, outcome.stderr) == ('measuring needs a package: pip install "agentreg[resources]"\n', "")


def test_usage_is_plain_data() -> None:
    assert Usage(1, 2.0, 3) == Usage(1, 2.0, 3, None)
