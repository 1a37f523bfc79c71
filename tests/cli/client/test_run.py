"""`agentreg run`: any command, registered while it runs, and otherwise as if it ran by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentreg.cli.run import _passing_signals_on
from tests.cli.client.conftest import Call
from tests.cli.client.small_service import Refused, SmallService

RUN = [sys.executable, "-W", "error", "-m", "agentreg", "run"]
PATIENCE = 60.0


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, *arguments], input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_streams_and_exit_code_are_the_command_s(service: SmallService) -> None:
    done = run("cat", "--", "sh", "-c", "cat; echo beside >&2; exit 7", stdin="hello")

    assert (done.returncode, done.stdout, done.stderr) == (7, "hello", "beside\n")


def test_the_command_is_registered_while_it_runs_and_stopped_when_the_wrapper_comes_back(service: SmallService) -> None:
    done = run("--meta", '{"task": "x"}', "scout", "--", sys.executable, "-c", "import os; print(os.getpid())")

    row = service.row("scout")
    assert (row["pid"], row["meta"], row["cwd"]) == (int(done.stdout), {"task": "x"}, os.getcwd())
    assert row["status"] == "stopped"


def test_a_command_that_goes_on_is_kept_alive(service: SmallService) -> None:
    with subprocess.Popen([*RUN, "--interval", "0.05", "cat", "--", "cat"], stdin=subprocess.PIPE) as process:
        service.wait_until(lambda: service.times("/heartbeat") >= 2)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(PATIENCE)

    assert process.returncode == 0
    assert service.row("cat")["status"] == "stopped"


def test_a_command_is_free_to_have_options_and_dashes(service: SmallService) -> None:
    done = run("echo", "--", "echo", "--name", "--", "-x")

    assert done.stdout == "--name -- -x\n"


def test_a_signal_that_comes_before_the_command_has_begun_is_passed_on_when_it_has() -> None:
    with _passing_signals_on() as passing:
        signal.raise_signal(signal.SIGUSR1)
        with subprocess.Popen(["sleep", "60"]) as child:
            passing.begin(child)

    assert child.returncode == -signal.SIGUSR1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(number: signal.Signals, service: SmallService) -> None:
    code = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(0.05)\n"  # pause() would not notice a signal that comes just before it
    )
    command = [*RUN, "trap", "--", sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)

    assert process.returncode == 5
    assert service.row("trap")["status"] == "stopped"


def test_a_command_that_a_signal_ended_shows_in_the_exit_code(service: SmallService) -> None:
    assert run("x", "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_a_command_that_isn_t_there_ends_with_127(service: SmallService) -> None:
    done = run("x", "--", "no-such-command")

    assert (done.returncode, done.stdout) == (127, "")
    assert "'no-such-command' can't be run: No such file" in done.stderr
    assert service.rows == {}


def test_a_file_that_can_t_be_run_ends_with_126(service: SmallService, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.touch()

    assert run("x", "--", str(file)).returncode == 126


def test_without_a_service_the_command_runs_all_the_same(workspace: Path) -> None:
    done = run("x", "--", "echo", "hello")

    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert len(done.stderr.splitlines()) == 1
    assert "no service" in done.stderr


def test_a_refusal_is_told_when_the_command_is_through(service: SmallService) -> None:
    def refuse(path: str) -> None:
        if path == "/register":
            raise Refused(400, "name: too long")

    service.refusing = refuse

    done = run("x", "--", "echo", "hello")

    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert "it was not registered: refused (400): name: too long" in done.stderr


def test_the_service_can_be_started_for_a_command(startable: Path) -> None:
    done = run("--autostart", "x", "--", "true")

    assert (done.returncode, done.stderr) == (0, "")
    assert len(startable.read_text().split()) == 1


def test_signals_are_the_caller_s_again_afterwards(call: Call, service: SmallService) -> None:
    before = signal.getsignal(signal.SIGTERM)

    assert call("run", "x", "--", "true").code == 0

    assert signal.getsignal(signal.SIGTERM) is before


COUNTING = """
import signal
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
print("ready", flush=True)
while not heard:
    signal.pause()
input()
print("heard", len(heard), "!", flush=True)
"""
TERMINAL = """
import os, pty, sys
pid, terminal = pty.fork()
if not pid:
    os.execv(sys.argv[1], sys.argv[1:])
said = b""
def until(text):
    global said
    while text not in said:
        said += os.read(terminal, 1024)
until(b"ready")
os.write(terminal, b"\\x03")
until(b"^C")
os.write(terminal, b"\\n")
until(b"!")
print("once" if b"heard 1" in said else said)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_ctrl_c_in_a_terminal_reaches_the_command_once(service: SmallService) -> None:
    command = [sys.executable, "-c", TERMINAL, *RUN, "trap", "--", sys.executable, "-c", COUNTING]

    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert (done.stdout, done.stderr) == ("once\n0\n", "")
