"""Real processes: those that were started here are ended and started again, others never signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("psutil")

from agentreg.extensions.monitoring.recovery import Child, Children, ForeignProcessError

if TYPE_CHECKING:
    from pathlib import Path

WAITING = "import signal, sys; {before}open(sys.argv[1], 'w').write('ready'); sys.stdin.read()"
PLAIN = WAITING.format(before="")
STUBBORN = WAITING.format(before="signal.signal(signal.SIGTERM, signal.SIG_IGN); ")


@pytest.fixture
def children() -> Iterator[Children]:
    with Children() as children:
        yield children


def started(children: Children, folder: Path, code: str = PLAIN, name: str = "ann") -> Child:
    """A child that is at work: its signal handlers are set."""
    fifo = folder / f"{name}-ready"
    os.mkfifo(fifo)
    child = children.start(name, [sys.executable, "-c", code, str(fifo)])
    assert fifo.read_text() == "ready"
    fifo.unlink()
    fifo.touch()  # for those who are started again
    return child


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_ends_when_it_is_asked(children: Children, tmp_path: Path) -> None:
    child = started(children, tmp_path)

    assert children.is_running("ann")
    assert children.running() == [child]
    assert children.end("ann") == "ended"
    assert not is_alive(child.pid)
    assert not children.is_running("ann")
    assert children.end("ann") == "gone"


def test_one_that_ignores_sigterm_is_killed_and_started_again(children: Children, tmp_path: Path) -> None:
    child = started(children, tmp_path, STUBBORN)

    new = children.restart("ann", timeout=0.1)

    assert not is_alive(child.pid)
    assert new.pid != child.pid
    assert children.running() == [new]


def test_one_that_is_stopped_is_killed(children: Children, tmp_path: Path) -> None:
    child = started(children, tmp_path)
    children.signal(child, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)

    assert children.end(child, timeout=0.1) == "killed"
    assert not is_alive(child.pid)


def test_a_process_that_was_started_elsewhere_is_never_signalled(children: Children, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as foreign:
        ours = started(children, tmp_path)
        forged = [Child("ann", foreign.pid, ours.started, ours.command), Child("bob", foreign.pid, 0.0, ())]

        for child in forged:
            with pytest.raises(ForeignProcessError, match=f"process {foreign.pid} is not signalled"):
                children.end(child)
            with pytest.raises(ForeignProcessError, match="it was not started here"):
                children.signal(child, signal.SIGKILL)
        with pytest.raises(ForeignProcessError, match="nothing was started here as 'bob'"):
            children.restart("bob")

        assert foreign.poll() is None
        foreign.communicate(b"\n")
    assert foreign.returncode == 0


def test_a_pid_that_another_process_has_by_now_is_not_signalled(children: Children, tmp_path: Path) -> None:
    child = started(children, tmp_path)
    same_pid_other_start = replace(child, started=child.started - 100)

    with pytest.raises(ForeignProcessError):
        children.end(same_pid_other_start)
    assert children.is_running("ann")

    children.end(child)
    with pytest.raises(ForeignProcessError, match="it has ended"):
        children.signal(child, signal.SIGKILL)


def test_the_predecessor_of_a_child_is_not_its_successor(children: Children, tmp_path: Path) -> None:
    old = started(children, tmp_path)
    new = children.restart("ann")

    with pytest.raises(ForeignProcessError):
        children.end(old)
    assert children.running() == [new]


def test_two_children_of_one_name_are_refused(children: Children, tmp_path: Path) -> None:
    started(children, tmp_path)

    with pytest.raises(ValueError, match="'ann' is running already"):
        children.start("ann", [sys.executable, "-c", "pass"])
    with pytest.raises(ValueError, match="command: expected its words"):
        children.start("bob", "python agent.py")
    with pytest.raises(FileNotFoundError):
        children.start("bob", ["/no/such/program"])
    assert children.get("bob") is None


def test_leaving_the_block_ends_all_of_them(tmp_path: Path) -> None:
    with Children() as children:
        pids = [started(children, tmp_path, name=name).pid for name in ("ann", "bob")]
        assert all(map(is_alive, pids))

    assert not any(map(is_alive, pids))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_does_not_signal_the_children_of_its_parent(children: Children, tmp_path: Path) -> None:
    child = started(children, tmp_path)

    pid = os.fork()
    if pid == 0:
        try:
            children.signal(child, signal.SIGKILL)
        except ForeignProcessError:
            os._exit(7)
        os._exit(1)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert children.is_running("ann")
