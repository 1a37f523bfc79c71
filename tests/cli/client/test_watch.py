"""`agentreg watch`: a process is registered until it ends, whatever becomes of the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agentreg.cli.client.calling import Caller
from agentreg.cli.client.keeping import Keeper
from agentreg.cli.client.watching import Alarm
from tests.cli.client.conftest import Call
from tests.cli.client.small_service import Refused, SmallService

PATIENCE = 60.0
Process = subprocess.Popen[str]


@contextmanager
def watching(*arguments: object) -> Iterator[Process]:
    """The command, with warnings as errors; killed at the end of the block if it still runs."""
    command = [sys.executable, "-W", "error", "-m", "agentreg", "watch", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def ended(process: Process) -> tuple[int, str]:
    """The exit code, and what it said on standard error."""
    err = process.communicate(timeout=PATIENCE)[1]
    return process.returncode, err


def beats(service: SmallService) -> int:
    return service.times("/heartbeat")


# -- the end ------------------------------------------------------------------


def test_a_watch_prints_the_id_beats_and_leaves_when_the_process_ends(
    service: SmallService, sleeper: subprocess.Popen[bytes]
) -> None:
    with watching("--name", "scout", "--pid", sleeper.pid, "--interval", "0.05") as process:
        identity = first_line(process)
        service.wait_until(lambda: beats(service) >= 3)
        sleeper.kill()  # nobody waits for it: it stays a zombie

        assert ended(process) == (0, "")

    row = service.row("scout")
    assert (row["id"], row["pid"], row["cwd"], row["status"]) == (identity, sleeper.pid, os.getcwd(), "stopped")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_watch_leaves_and_ends_well_when_a_signal_comes(
    number: signal.Signals, service: SmallService, sleeper: subprocess.Popen[bytes]
) -> None:
    with watching("--pid", sleeper.pid) as process:
        first_line(process)
        process.send_signal(number)

        assert ended(process) == (0, "")

    assert service.row("agent")["status"] == "stopped"
    assert sleeper.poll() is None


def test_a_signal_that_was_ignored_stays_ignored(service: SmallService) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with watching("--pid", 0, "--interval", "0.05") as process:
            first_line(process)
            process.send_signal(signal.SIGHUP)
            seen = beats(service)
            service.wait_until(lambda: beats(service) >= seen + 2)
            process.send_signal(signal.SIGTERM)

            assert ended(process) == (0, "")
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_process_that_is_over_already_is_registered_and_gone(call: Call, service: SmallService) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()

    done = call("watch", "--pid", gone.pid)

    assert (done.code, done.out) == (0, f"{service.row('agent')['id']}\n")
    assert service.row("agent")["status"] == "stopped"


def test_without_a_pid_the_process_that_calls_is_watched(service: SmallService) -> None:
    with watching() as process:
        first_line(process)
        process.terminate()
        ended(process)

    assert service.row("agent")["pid"] == os.getpid()


def test_a_watch_ends_when_its_file_does(service: SmallService, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.touch()
    with watching("--pid", 0, "--while", marker) as process:
        first_line(process)
        marker.unlink()

        assert ended(process) == (0, "")

    assert service.row("agent")["status"] == "stopped"


def test_a_watch_ends_when_another_file_is_in_its_file_s_place(service: SmallService, tmp_path: Path) -> None:
    marker, other = tmp_path / "marker", tmp_path / "other"
    marker.touch()
    other.touch()
    with watching("--pid", 0, "--while", marker) as process:
        first_line(process)
        other.replace(marker)

        assert ended(process) == (0, "")


def test_nobody_listening_any_more_leaves_no_agent_behind(service: SmallService) -> None:
    with watching("--pid", 0, "--interval", "0.05") as process:
        assert process.stdout is not None
        process.stdout.close()
        service.wait_until(lambda: service.times("/register") == 1)
        process.terminate()
        process.wait(PATIENCE)

    assert service.row("agent")["status"] == "stopped"


# -- the service comes and goes -----------------------------------------------


def test_a_service_that_is_restarted_is_told_again_under_the_same_id(workspace: Path) -> None:
    with ExitStack() as stack:
        with SmallService(workspace) as first:
            process = stack.enter_context(watching("--name", "scout", "--pid", 0, "--interval", "0.05"))
            identity = first_line(process)
        with SmallService(workspace) as second:
            second.wait_until(lambda: beats(second) >= 2)
            process.terminate()

            assert ended(process) == (0, "")

    assert first.row("scout")["id"] == identity
    assert (second.row("scout")["id"], second.row("scout")["status"]) == (identity, "stopped")


def test_a_service_that_fails_is_asked_again(service: SmallService) -> None:
    trouble = iter([Refused(503, "the disk is full"), Refused(500, "oh")])

    def refuse(path: str) -> None:
        if path == "/heartbeat":
            for refused in trouble:
                raise refused

    service.refusing = refuse
    with watching("--pid", 0, "--interval", "0.05") as process:
        first_line(process)
        service.wait_until(lambda: beats(service) >= 4)
        process.terminate()

        assert ended(process) == (0, "")


def test_who_is_registered_anew_elsewhere_is_left_alone(service: SmallService) -> None:
    with watching("--id", "mine", "--pid", 0, "--interval", "0.05") as process:
        first_line(process)
        service.answer("POST", "/register", {"id": "mine", "name": "successor"}, None)
        code, err = ended(process)

    assert code == 1
    assert "409" in err
    assert (service.rows["mine"]["name"], service.rows["mine"]["status"]) == ("successor", "active")


def test_a_service_can_be_started_for_a_watch(startable: Path, workspace: Path) -> None:
    with watching("--pid", 0, "--autostart", "--interval", "0.05") as process:
        identity = first_line(process)
        listed = Caller(workspace).ask("GET", "/agents").document
        process.terminate()

        assert ended(process) == (0, "")

    assert [agent["id"] for agent in listed["agents"]] == [identity]
    assert len(startable.read_text().split()) == 1


# -- pauses -------------------------------------------------------------------


def keeper_of(workspace: Path, interval: float = 30.0) -> Keeper:
    return Keeper(Caller(workspace), {"name": "scout", "id": "mine"}, interval)


def test_between_tries_the_pauses_grow_up_to_the_interval(workspace: Path) -> None:
    keeper = keeper_of(workspace, interval=5.0)

    pauses = [keeper.beat() for _ in range(6)]

    assert pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_an_interval_of_minutes_does_not_make_the_pauses_longer_than_half_a_minute(workspace: Path) -> None:
    keeper = keeper_of(workspace, interval=3600.0)

    pauses = [keeper.beat() for _ in range(30)]

    assert max(pauses) == 30.0


def test_after_a_success_the_pauses_begin_anew(workspace: Path) -> None:
    keeper = keeper_of(workspace)
    keeper.beat()
    keeper.beat()
    with SmallService(workspace):
        assert keeper.beat() == 30.0

    assert keeper.beat() == 0.5


def test_a_heartbeat_that_nobody_knows_registers_at_once(service: SmallService) -> None:
    keeper = keeper_of(service.workspace)
    keeper.register()
    service.rows.clear()

    keeper.beat()

    assert [*service.rows] == ["mine"]
    assert [path for path, _ in service.asked][-3:] == ["/heartbeat", "/health", "/register"]


def test_a_stranger_on_the_old_port_is_told_nothing_but_the_heartbeat(workspace: Path, tmp_path: Path) -> None:
    keeper = keeper_of(workspace)
    with SmallService(workspace) as service:
        keeper.register()
    with SmallService(tmp_path / "another", port=service.port) as stranger:
        pause = keeper.beat()

    assert pause == 0.5
    assert [path for path, _ in stranger.asked] == ["/heartbeat", "/health"]
    assert stranger.rows == {}


def test_a_farewell_without_a_service_is_no_trouble(workspace: Path) -> None:
    keeper = keeper_of(workspace)
    with SmallService(workspace):
        keeper.register()

    keeper.leave()

    assert keeper.failure is None


def test_who_was_never_registered_says_no_farewell(service: SmallService) -> None:
    keeper_of(service.workspace).leave()

    assert service.asked == []


def test_what_was_done_to_signals_is_undone(workspace: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    with Alarm() as alarm:
        alarm.ring()
        rang, _ = alarm.wait(PATIENCE)

    alarm.ring()  # too late, and harmless
    assert rang
    assert signal.getsignal(signal.SIGTERM) is before
