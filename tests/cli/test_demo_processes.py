"""`agentreg demo --processes`: runtimes in processes of their own, one of which is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import agentreg
from agentreg.cli import main
from agentreg.demo.measure import measure
from agentreg.demo.rules import RULES, worst_places
from agentreg.extensions.coordination import AgentDirectory
from tests.extensions.coordination.servers import Server

FILES = 12
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals are another thing there")
MAIN = "import sys; from agentreg.cli import main; sys.exit(main())"


def fill(folder: Path) -> None:
    """A dozen Python files, one of them broken."""
    (folder / "inner").mkdir(parents=True)
    for number in range(FILES - 2):
        conditions = " and ".join(f"a{n}" for n in range(number * 3 + 1))
        (folder / "inner" / f"module_{number:02}.py").write_text(f"def f():\n    return {conditions}\n")
    (folder / "bare.py").write_text("".join(f"def f{number}(): pass\n" for number in range(9)))
    (folder / "broken.py").write_text("def broken(:\n")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    fill(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the command keeps what it removes again."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def started(temporary: Path, *arguments: object, program: str = MAIN, **more: Any) -> subprocess.Popen[str]:
    """A process of the command, with warnings as errors, in a group of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(agentreg.__file__).parents[1]),
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "utf-8",
        "TERM": "xterm",
        "TMPDIR": str(temporary),
        **more.pop("environment", {}),
    }
    for name in ("COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        environment.pop(name, None)
    argv = [sys.executable, "-c", program, "demo", *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True, **more}
    return subprocess.Popen(argv, text=True, encoding="utf-8", env=environment, **streams)


def command(temporary: Path, *arguments: object, **more: Any) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    with started(temporary, *arguments, **more) as process:
        output, errors = process.communicate(timeout=90)
    return process.returncode, output, errors


def result_of(temporary: Path, *arguments: object, **more: Any) -> dict[str, Any]:
    code, output, errors = command(temporary, *arguments, "--json", **more)
    assert (code, errors) == (0, "")
    result: dict[str, Any] = json.loads(output)
    return result


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def started_in(output: str) -> list[int]:
    """The process ids that the story names."""
    return [int(pid) for pid in re.findall(r"started runtime-\d: process (\d+)", output)]


# -- what it comes to -----------------------------------------------------------


@pytest.fixture(scope="module", params=[2, 3])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run with two processes, and one with three, for all tests that look at the result."""
    folder = tmp_path_factory.mktemp("run")
    fill(folder / "project")
    (folder / "temporary").mkdir()
    result = result_of(folder / "temporary", folder / "project", "--processes", request.param)
    return {**result, "processes": request.param, "left_behind": list((folder / "temporary").iterdir())}


def test_every_runtime_is_a_process_and_sees_the_agents_of_the_others(run: Mapping[str, Any]) -> None:
    runtimes = {entry["runtime"]: entry for entry in run["runtimes"]}
    everyone = {agent for entry in run["runtimes"] for agent in entry["agents"]}

    assert list(runtimes) == [f"runtime-{number + 1}" for number in range(run["processes"])]
    assert len({entry["pid"] for entry in run["runtimes"]}) == run["processes"]
    assert len(everyone) == 3 * run["processes"]
    for entry in run["runtimes"]:
        assert set(entry["saw"]) == everyone - set(entry["agents"])


@posix
def test_one_is_killed_and_the_others_end_by_themselves(run: Mapping[str, Any]) -> None:
    codes = {entry["runtime"]: entry["exit_code"] for entry in run["runtimes"]}

    assert codes.pop(run["killed"]["runtime"]) == -signal.SIGKILL
    assert set(codes.values()) == {0}


def test_the_agents_of_the_killed_go_unhealthy_and_leave_because_they_died(run: Mapping[str, Any]) -> None:
    killed = run["killed"]
    [agents] = [entry["agents"] for entry in run["runtimes"] if entry["runtime"] == killed["runtime"]]

    assert killed["unhealthy"].keys() == killed["left"].keys() == set(agents)
    for agent in agents:
        assert 0 < killed["unhealthy"][agent] <= killed["left"][agent] <= killed["runtime_left"]
        assert killed["left"][agent] < 10_000  # a lease takes three times as long: it was not waited for
    assert killed["reasons"] == dict.fromkeys(agents, "died")


def test_the_delays_are_those_of_the_events(run: Mapping[str, Any]) -> None:
    killed = run["killed"]
    times = {(event["agent"], event["event"]): event["at"] for event in run["events"]}

    for agent, delay in killed["left"].items():
        assert times[agent, "agent_deregistered"] - killed["at"] == pytest.approx(delay / 1000, abs=0.002)
    for agent, delay in killed["unhealthy"].items():
        assert times[agent, "agent_status_changed"] - killed["at"] == pytest.approx(delay / 1000, abs=0.002)


def test_the_other_runtimes_notice_it_too(run: Mapping[str, Any]) -> None:
    others = {entry["runtime"] for entry in run["runtimes"]} - {run["killed"]["runtime"]}

    assert run["killed"]["seen_by"].keys() == others


def test_the_events_come_in_the_order_of_the_directory(run: Mapping[str, Any]) -> None:
    revisions = [event["revision"] for event in run["events"]]
    joined = [event["runtime"] for event in run["events"] if event["event"] == "runtime_joined"]
    left = [event["runtime"] for event in run["events"] if event["event"] == "runtime_left"]

    assert revisions == sorted(revisions)
    assert set(joined) == set(left) == {entry["runtime"] for entry in run["runtimes"]}
    assert left[0] == run["killed"]["runtime"]


def test_what_the_killed_had_in_hand_is_taken_over_by_others(run: Mapping[str, Any]) -> None:
    killed = run["killed"]
    tasks = {task["task"]: task for task in run["tasks"]}

    assert killed["tasks"]
    assert [failover["task"] for failover in run["failovers"]] == killed["tasks"]
    for failover in run["failovers"]:
        assert failover["lost_by"] in killed["left"]
        assert failover["taken_by"] not in killed["left"]
        assert failover["delay"] >= killed["left"][failover["lost_by"]]
        assert tasks[failover["task"]]["given"] == [failover["lost_by"], failover["taken_by"]]
        assert tasks[failover["task"]]["done_by"] == failover["taken_by"]


def test_every_task_is_done_and_each_once(run: Mapping[str, Any]) -> None:
    lost = run["killed"]["tasks"]
    measured = [task for task in run["tasks"] if task["capability"] == "measure Python files"]
    reviewed = [task for task in run["tasks"] if task["capability"] == "review measurements"]

    assert len({task["path"] for task in measured}) == len(measured) == FILES
    assert {task["path"] for task in measured} - {task["path"] for task in reviewed} == {"broken.py"}
    assert len(reviewed) == FILES - 1
    assert all(task["given"] == [task["done_by"]] for task in run["tasks"] if task["task"] not in lost)
    assert sum(run["done"].values()) == len(run["tasks"])
    assert run["done_again"] == 0


def test_each_kind_of_task_goes_to_those_who_can_do_it(run: Mapping[str, Any]) -> None:
    kinds = {
        (task["capability"], re.sub(r"runtime-\d-|-\d", "", name)) for task in run["tasks"] for name in task["given"]
    }

    assert kinds == {("measure Python files", "analyst"), ("review measurements", "reviewer")}


def test_the_findings_are_those_of_a_reader_in_one_process(run: Mapping[str, Any]) -> None:
    folder = Path(run["folder"])
    facts = [measure(file, file.relative_to(folder).as_posix()) for file in sorted(folder.rglob("*.py"))]

    assert run["worst"] == json.loads(json.dumps([asdict(finding) for finding in worst_places(facts, RULES)]))


def test_a_file_that_can_not_be_read_is_a_result_like_others(run: Mapping[str, Any]) -> None:
    problems = {task["path"]: task["problem"] for task in run["tasks"] if task["problem"]}

    assert problems.keys() == {"broken.py"}
    assert problems["broken.py"].startswith("line 1: ")


def test_nobody_and_nothing_is_left(run: Mapping[str, Any]) -> None:
    assert run["remaining"] == 0
    assert run["left_behind"] == []
    assert not any(is_running(entry["pid"]) for entry in run["runtimes"])


# -- what it tells ------------------------------------------------------------


def test_the_story_is_told_in_lines_when_it_is_piped(project: Path, temporary: Path) -> None:
    code, output, errors = command(temporary, project, "--processes", 2)

    assert (code, errors) == (0, "")
    steps = [line.split(":")[0] for line in output.splitlines() if line[:1].isdigit()]
    assert steps == ["1. RUNTIMES", "2. WORK", "3. KILL", "4. CLEAN-UP"]
    assert "each sees 3 agents of the others" in output
    assert re.search(r"runtime-2-analyst-1 is unhealthy, was active, \d+ ms after the kill", output)
    assert re.search(r"runtime-2-analyst-1 has left: died, \d+ ms after the kill", output)
    assert "6 arrivals, 6 departures, 0 agents left" in output
    assert "\x1b" not in output


def test_a_single_file_will_do(project: Path, temporary: Path) -> None:
    result = result_of(temporary, project / "bare.py", "--processes", 2)

    assert [(task["path"], len(task["given"])) for task in result["tasks"]] == [("bare.py", 2), ("bare.py", 1)]


def test_the_numbers_of_analysts_and_files_can_be_chosen(project: Path, temporary: Path) -> None:
    result = result_of(temporary, project, "--processes", 2, "--analysts", 1, "--limit", 3)

    assert result["cut"] == "only the first 3 files are read"
    assert [len(entry["agents"]) for entry in result["runtimes"]] == [2, 2]


@posix
@pytest.mark.parametrize("rich", [True, False])
def test_on_a_terminal_there_are_a_table_and_the_events_if_rich_is_there(
    rich: bool, project: Path, temporary: Path
) -> None:
    if rich:
        pytest.importorskip("rich")
    screen, terminal = os.openpty()
    output = b""
    program = MAIN if rich else f"import sys; sys.modules['rich'] = None; {MAIN}"

    with started(temporary, project, "--processes", 2, "--fast", program=program, stdout=terminal) as process:
        os.close(terminal)
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while data := os.read(screen, 65536):
                output += data
        _, errors = process.communicate(timeout=90)
    os.close(screen)

    text = output.decode()
    assert (process.returncode, errors) == (0, "")
    assert ("in the directory: " in text) is (" events " in text) is ("\x1b[" in text) is rich
    assert "> killed runtime-2" in text
    assert "slowed down" not in text


# -- where it runs ---------------------------------------------------------------


def test_modules_in_the_current_folder_do_not_get_into_the_runtimes(project: Path, temporary: Path) -> None:
    for name in ("agentreg", "asyncio", "json"):
        (project / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    program = f"import sys; sys.path.remove(''); {MAIN}"  # as the installed command has it

    assert result_of(temporary, "--processes", 2, program=program, cwd=project)["remaining"] == 0


def test_it_needs_no_library_beyond_that_of_the_command_line(project: Path, temporary: Path, tmp_path: Path) -> None:
    barred = ("redis", "psutil", "httpx", "yaml", "tomli", "watchfiles", "pydantic")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({barred!r}))\n"  # so that importing them fails
    )
    path = os.pathsep.join([str(tmp_path / "site"), str(Path(agentreg.__file__).parents[1])])

    result = result_of(temporary, project, "--processes", 2, environment={"PYTHONPATH": path})

    assert result["remaining"] == 0


def test_where_the_process_table_can_not_be_read_short_leases_tell_who_is_dead(
    project: Path, temporary: Path, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "from agentreg.extensions.coordination import processes\nprocesses.boot = lambda: ''\n"
    )
    path = os.pathsep.join([str(tmp_path / "site"), str(Path(agentreg.__file__).parents[1])])

    result = result_of(temporary, project, "--processes", 2, environment={"PYTHONPATH": path})

    killed = result["killed"]
    assert killed["reasons"] == dict.fromkeys(killed["left"], "expired")
    assert killed["unhealthy"].keys() == killed["left"].keys()
    assert sum(result["done"].values()) == len(result["tasks"])


def test_a_file_can_be_the_directory_and_stays(project: Path, temporary: Path) -> None:
    result = result_of(temporary, project, "--processes", 2, "--backend", "sqlite:///agents.db", cwd=project)

    assert result["backend"] == "sqlite:///agents.db"
    assert (project / "agents.db").exists()
    assert list(temporary.iterdir()) == []


def test_a_backend_alone_means_three_processes(project: Path, temporary: Path) -> None:
    result = result_of(temporary, project, "--backend", f"sqlite:///{temporary}/agents.db")

    assert len(result["runtimes"]) == 3


def test_agents_of_others_in_the_same_directory_are_left_alone(project: Path, temporary: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/agents.db"

    class Guest:
        capabilities = ("measure Python files", "review measurements")

    async def host() -> tuple[dict[str, Any], list[str]]:
        guest = Guest()
        async with AgentDirectory(backend=url, auto_heartbeat=True) as directory:
            await directory.register_agent(guest, "elsewhere", "guest")
            result = await asyncio.to_thread(result_of, temporary, project, "--processes", 2, "--backend", url)
            return result, [record.agent_id for record in await directory.list_agents()]

    result, present = asyncio.run(host())

    assert present == ["guest"]
    assert "guest" not in result["done"]
    assert "elsewhere" not in {event["runtime"] for event in result["events"]}


def test_on_redis_it_does_the_same(project: Path, temporary: Path, tmp_path: Path) -> None:
    pytest.importorskip("redis")
    with Server(tmp_path / "redis") as server:
        result = result_of(temporary, project, "--processes", 3, "--backend", server.url)

    assert result["killed"]["reasons"] == dict.fromkeys(result["killed"]["left"], "died")
    assert len(result["killed"]["left"]) == 3
    assert result["failovers"]
    assert result["remaining"] == 0


# -- bad usage -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("nonsense", "expected an address"),
        ("", "expected an address"),
        ("bogus://host", "no store goes by 'bogus'"),
        ("memory://", "in the memory of one process"),
        ("memory://shared", "in the memory of one process"),
        ("sqlite://agents.db", "expected three slashes"),
    ],
)
def test_a_backend_of_no_known_form_is_refused_with_those_that_are(
    url: str, complaint: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(project), "--processes", "2", "--backend", url]) == 2

    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"agentreg demo: error: backend {url!r}: ")
    assert complaint in output.err
    assert "known forms: sqlite:///" in output.err
    assert "memory://," not in output.err


def test_a_bad_redis_address_is_refused_without_telling_its_password(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("redis")

    assert main(["demo", str(project), "--backend", "redis://:secret@host:port"]) == 2

    errors = capsys.readouterr().err
    assert "redis://[user:password@]host[:port][/db]" in errors
    assert "secret" not in errors


def test_a_redis_that_is_not_there_ends_with_one(project: Path, temporary: Path) -> None:
    pytest.importorskip("redis")
    url = "redis://127.0.0.1:1/0?timeout=0.2"

    code, output, errors = command(temporary, project, "--processes", 2, "--backend", url)

    assert (code, output) == (1, "")
    assert errors.startswith("agentreg demo: error: the directory at redis://127.0.0.1:1/0")
    assert "gives no answer" in errors
    assert list(temporary.iterdir()) == []


def test_a_missing_library_is_named_with_the_extra_that_brings_it(project: Path, temporary: Path) -> None:
    program = f"import sys; sys.modules['redis'] = None; {MAIN}"

    code, output, errors = command(temporary, project, "--backend", "redis://127.0.0.1", program=program)

    assert (code, output) == (1, "")
    assert 'pip install "agentreg[redis]"' in errors


@pytest.mark.parametrize("number", ["1", "9", "many"])
def test_it_takes_two_to_eight_processes(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--processes", number]) == 2

    assert f"expected a whole number from 2 to 8, got '{number}'" in capsys.readouterr().err


def test_a_report_is_refused_since_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--processes", "2", "--report", "report.md"]) == 2

    assert "--report" in capsys.readouterr().err


# -- when something goes wrong -----------------------------------------------------


def test_a_process_that_does_not_start_is_named_with_its_last_words(
    project: Path, temporary: Path, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'runtime-2' in sys.orig_argv:\n"
        "    os.write(2, b'no room for me here\\n')\n"
        "    os._exit(3)\n"
    )
    path = os.pathsep.join([str(tmp_path / "site"), str(Path(agentreg.__file__).parents[1])])

    code, output, errors = command(temporary, project, "--processes", 3, environment={"PYTHONPATH": path})

    assert code == 1
    assert re.fullmatch(
        r"agentreg demo: error: runtime-2 \(process \d+\) ended with code 3; its last words: no room for me here\n",
        errors,
    )
    assert not any(map(is_running, started_in(output)))
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("runtime", "agent", "complaint"),
    [
        ("elsewhere", "runtime-1-reviewer", r"runtime-1 \(.*'runtime-1-reviewer' is already registered by .*elsewhere"),
        ("runtime-2", "other", "has agents of runtime-2 already; does another demo run on it"),
    ],
)
def test_names_that_are_taken_are_told(
    runtime: str, agent: str, complaint: str, project: Path, temporary: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/agents.db"

    class Guest: ...

    async def host() -> tuple[int, str, str]:
        guest = Guest()
        async with AgentDirectory(backend=url, auto_heartbeat=True) as directory:
            await directory.register_agent(guest, runtime, agent)
            outcome = await asyncio.to_thread(command, temporary, project, "--processes", 2, "--backend", url)
            assert [record.agent_id for record in await directory.list_agents()] == [agent]
            return outcome

    code, output, errors = asyncio.run(host())

    assert code == 1
    assert re.search(complaint, errors)
    assert not any(map(is_running, started_in(output)))


# What happens at the moment of the kill, in place of it or beside it.
PATCHED = """
import os, signal, sys
from agentreg.demo.processes import child, stage
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background job
kill, start = child.Child.kill, child.Child.start
children = []
async def starting(self, *arguments):
    children.append(self)
    await start(self, *arguments)
def killing(self):
    child.Child.kill = kill
    {}
child.Child.kill, child.Child.start = killing, starting
from agentreg.cli import main
sys.exit(main())
"""


@posix
def test_ctrl_c_in_the_middle_ends_with_130_and_leaves_nothing(project: Path, temporary: Path) -> None:
    program = PATCHED.format("os.killpg(0, signal.SIGINT)")  # as a terminal does

    code, output, errors = command(temporary, project, "--processes", 3, program=program)

    assert (code, errors) == (130, "agentreg demo: interrupted\n")
    assert len(started_in(output)) == 3
    assert not any(map(is_running, started_in(output)))
    assert list(temporary.iterdir()) == []


@posix
def test_ctrl_c_while_the_processes_start_leaves_nothing_either(project: Path, temporary: Path) -> None:
    program = PATCHED.replace(
        "    await start(self, *arguments)\n",
        "    await start(self, *arguments)\n    if len(children) == 2: os.killpg(0, signal.SIGINT)\n",
    ).format("kill(self)")

    code, output, errors = command(temporary, project, "--processes", 3, program=program)

    assert (code, errors) == (130, "agentreg demo: interrupted\n")
    assert started_in(output)
    assert not any(map(is_running, started_in(output)))
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system can't tell when a process ends")
def test_a_parent_that_is_killed_leaves_no_process_behind(project: Path, temporary: Path) -> None:
    program = PATCHED.format("os.kill(os.getpid(), signal.SIGKILL)")
    handles = []

    with started(temporary, project, "--processes", 2, program=program) as process:
        assert process.stdout is not None
        for line in process.stdout:  # to its end, as the children have none of its streams
            for pid in started_in(line):
                with contextlib.suppress(ProcessLookupError):
                    handles.append(os.pidfd_open(pid))

    assert process.returncode == -signal.SIGKILL
    for handle in handles:
        assert select.select([handle], [], [], 30)[0], "the process goes on without its parent"
        os.close(handle)


@posix
def test_work_survives_the_loss_of_a_second_runtime(project: Path, temporary: Path) -> None:
    program = PATCHED.format("kill(self); os.kill(children[2].pid, signal.SIGKILL)")

    result = result_of(temporary, project, "--processes", 3, program=program)

    assert [entry["exit_code"] for entry in result["runtimes"]] == [0, -signal.SIGKILL, -signal.SIGKILL]
    assert sum(result["done"].values()) == len(result["tasks"])
    assert result["remaining"] == 0


@posix
def test_without_any_runtime_the_work_fails_and_says_so(project: Path, temporary: Path) -> None:
    program = PATCHED.format("[os.kill(each.pid, signal.SIGKILL) for each in children]")

    code, output, errors = command(temporary, project, "--processes", 3, program=program)

    assert code == 1
    assert "no runtime is left to do the work; runtime-" in errors
    assert "was killed by signal 9" in errors
    assert list(temporary.iterdir()) == []
    assert not any(map(is_running, started_in(output)))


@posix
def test_a_reader_that_stops_reading_is_no_error_with_a_traceback(project: Path, temporary: Path) -> None:
    program = f"import os; reading, writing = os.pipe(); os.close(reading); os.dup2(writing, 1); {MAIN}"

    code, _, errors = command(temporary, project, "--processes", 2, program=program)

    assert (code, errors) == (141, "")
    assert list(temporary.iterdir()) == []
