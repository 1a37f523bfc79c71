"""Which process is meant, whether it still runs, and who runs us."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentreg.cli.client import processes, processes_elsewhere
from agentreg.cli.client.processes import Process, ancestors, opened


def test_a_process_that_runs_is_not_over(sleeper: subprocess.Popen[bytes]) -> None:
    assert not Process.of(sleeper.pid).is_over()


def test_a_zombie_is_over(sleeper: subprocess.Popen[bytes]) -> None:
    process = Process.of(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)

    assert process.is_over()
    assert Process.of(sleeper.pid).is_over()


def test_another_process_with_the_same_id_is_not_taken_for_it(sleeper: subprocess.Popen[bytes]) -> None:
    start = Process.of(sleeper.pid).start
    assert start is not None

    assert Process(sleeper.pid, start - 1).is_over()


def test_no_process_is_never_over() -> None:
    assert not Process.of(0).is_over()


@pytest.mark.parametrize("pid", [2**31 - 1, 2**40])
def test_a_pid_that_nobody_has_is_over(pid: int) -> None:
    assert Process.of(pid).is_over()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_nobody_s_end_can_t_be_waited_for() -> None:
    assert opened(Process(0, 0)) is None
    assert opened(Process(2**31 - 1, None)) is None


def test_the_ancestors_begin_with_the_parent() -> None:
    first, names = next(ancestors(os.getpid()))

    assert first == os.getppid()
    assert names


def test_the_program_above_is_the_first_that_is_no_shell(tmp_path: Path) -> None:
    script = tmp_path / "wrapper.sh"  # is called as its file, and is a shell
    code = "from agentreg.cli.client.processes import agent_above; print(agent_above().pid)"
    script.write_text(f"#!/bin/sh\n'{sys.executable}' -c '{code}'\ntrue\n")
    script.chmod(0o755)

    done = subprocess.run(["sh", "-c", f"{script}; true"], capture_output=True, text=True, check=True)

    assert int(done.stdout) == os.getpid()


def test_if_all_are_shells_it_is_the_outermost(monkeypatch: pytest.MonkeyPatch) -> None:
    above = [(os.getppid(), {"sh"}), (os.getpid(), {"bash"})]
    monkeypatch.setattr(processes, "ancestors", lambda pid: iter(above))

    assert processes.agent_above() == Process.of(os.getpid())


# -- elsewhere ----------------------------------------------------------------


@pytest.fixture
def without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PROC", False)
    monkeypatch.setattr(processes_elsewhere, "psutil", None)


@pytest.mark.usefixtures("without_proc")
def test_without_a_process_table_there_are_signals(sleeper: subprocess.Popen[bytes]) -> None:
    process = Process.of(sleeper.pid)
    assert not process.is_over()
    sleeper.kill()
    sleeper.wait()

    assert process.is_over()
    assert Process.of(2**31 - 1).is_over()


@pytest.mark.usefixtures("without_proc")
def test_without_a_process_table_the_parent_is_known() -> None:
    assert next(ancestors(os.getpid()))[0] == os.getppid()


def test_psutil_says_it_where_it_is_installed(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psutil")
    monkeypatch.setattr(processes, "_PROC", False)
    process = Process.of(sleeper.pid)

    assert not process.is_over()
    assert process.start
    assert Process(sleeper.pid, process.start - 1).is_over()
    assert next(ancestors(sleeper.pid))[0] == os.getpid()
