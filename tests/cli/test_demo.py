"""`agentreg demo`: what a newcomer sees, and what a script gets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

import agentreg
from agentreg import AgentRegistry
from agentreg.cli import main
from agentreg.extensions.persistence import PersistentRegistry

SIMPLE = '''"""A module."""
import os


def greet(name):
    """Greet."""
    return f"hello {name}" if name else "hello"
'''

KNOTTY = """import os, sys


class Knot:
    def tie(self, ends):
        for end in ends:
            if end and end.loose:
                while end.slack or end.long:
                    try:
                        end.pull()
                    except ValueError:
                        continue
                    except OSError:
                        break
            elif end is None:
                return [e for e in ends if e if e.tight]
        match ends:
            case []:
                return None
            case _:
                return ends
"""  # tie: 1 + for, if, and, while, or, except, except, elif, comprehension, its two ifs, case = 13


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo puts its report, if nobody says where."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small folder, whose figures were counted by hand."""
    folder = tmp_path / "project"
    (folder / "inner").mkdir(parents=True)
    (folder / "simple.py").write_text(SIMPLE)
    (folder / "inner" / "knotty.py").write_text(KNOTTY)
    return folder


def result_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code = main(["demo", *map(str, arguments), "--json"])
    output = capsys.readouterr()
    assert output.err == ""
    assert code == 0
    result: dict[str, Any] = json.loads(output.out)
    return result


def started(temporary: Path, *arguments: object, program: str | None = None, **more: Any) -> subprocess.Popen[str]:
    """A process of the command, with warnings as errors."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(agentreg.__file__).parents[1]),
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "utf-8",
        "TERM": "xterm",
        "TMPDIR": str(temporary),
    }
    for name in ("COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        environment.pop(name, None)
    start = ["-m", "agentreg"] if program is None else ["-c", program]
    argv = [sys.executable, *start, "demo", *map(str, arguments)]
    return subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment, **more)


def command(temporary: Path, *arguments: object, **more: Any) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    with started(temporary, *arguments, stdout=subprocess.PIPE, **more) as process:
        output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def on_a_terminal(temporary: Path, *arguments: object, **more: Any) -> tuple[int, str, str]:
    """The same with a terminal as its standard output."""
    screen, terminal = os.openpty()
    output = b""
    with started(temporary, *arguments, stdout=terminal, **more) as process:
        os.close(terminal)
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while data := os.read(screen, 65536):
                output += data
        _, errors = process.communicate(timeout=60)
    os.close(screen)
    return process.returncode, output.decode(), errors


# -- what it tells ------------------------------------------------------------


def test_without_a_path_it_reads_its_own_source(capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(capsys)

    assert result["folder"] == str(Path(agentreg.__file__).parent)
    assert result["totals"]["files"] > 20
    assert result["totals"]["not_read"] == 0
    assert result["seconds"] < 20


def test_a_newcomer_is_told_each_word_and_sees_the_registry_empty(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(project)]) == 0

    output = capsys.readouterr()
    steps = [line.split(":")[0] for line in output.out.splitlines() if line[:1].isdigit()]
    assert steps == [
        "1. REGISTRY",
        "2. POOL",
        "3. HEALTH",
        "4. ORCHESTRA",
        "5. SNAPSHOT",
        "6. CAPABILITY",
        "7. CLEAN-UP",
    ]
    assert "registered now: 0 agents, 0 pools" in output.out
    assert output.err == ""


def test_the_plain_story_stays_short_however_many_files_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(300):
        (tmp_path / f"module_{number}.py").write_text("name = 1\n")

    assert main(["demo", str(tmp_path)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 55
    assert sum("of 300 files read" in line for line in lines) == 4


def test_the_figures_are_those_that_one_counts_by_hand(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(capsys, project)

    assert result["totals"] == {
        "files": 2,
        "not_read": 0,
        "lines": 28,
        "functions": 2,
        "classes": 1,
        "complexity": 13,
        "longest": 17,
        "public": 5,
        "documented": 2,
    }
    assert [(file["path"], file["complexity"], file["imports"]) for file in result["files"]] == [
        ("simple.py", 2, ["os"]),
        ("inner/knotty.py", 13, ["os", "sys"]),
    ]


def test_the_report_says_the_same(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.md"

    assert main(["demo", str(project), "--report", str(report)]) == 0

    text = report.read_text(encoding="utf-8")
    assert "| lines | 28 |" in text
    assert "| 1 | `inner/knotty.py:5 Knot.tie` | complexity 13 (usual: up to 10) |" in text
    assert "| `inner/knotty.py` | 21 | 1 | 13 | 17 | 2 | 0 % |" in text
    assert "| `simple.py` | 7 | 1 | 2 | 3 | 1 | 100 % |" in text
    assert str(report) in capsys.readouterr().out


def test_without_a_report_file_the_path_of_a_temporary_one_is_told(
    project: Path, temporary_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Path(result_of(capsys, project)["report"])

    assert report.is_relative_to(temporary_folder)
    assert report.read_text(encoding="utf-8").startswith("# The Python files of")


# -- what the agents do --------------------------------------------------------


def test_the_reviewer_that_can_find_most_is_picked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    review = result_of(capsys, project)["review"]

    assert review["needed"] == ["complex functions"]
    assert review["candidates"] == {"simplicity-reviewer": ["complex functions"]}
    assert review["picked"] == "simplicity-reviewer"
    assert review["worst"][0]["name"] == "Knot.tie"


def test_files_without_docstrings_get_another_reviewer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bare.py").write_text("".join(f"def f{number}(): pass\n" for number in range(9)))

    review = result_of(capsys, tmp_path)["review"]

    assert review["picked"] == "docs-reviewer"
    assert review["worst"][0]["reasons"] == ["10 without a docstring (usual: up to 5)"]


def test_every_file_is_a_loan_from_the_pool_and_none_is_kept(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(20):
        (project / f"module_{number}.py").write_text(SIMPLE)

    result = result_of(capsys, project, "--analysts", 3)

    assert result["pool"]["total_allocations"] == result["pool"]["total_releases"] == 22
    assert 1 <= result["pool"]["peak_concurrent_usage"] <= 3
    assert sum(jobs for name, jobs in result["jobs"].items() if name.startswith("analyst_")) == 22
    assert result["jobs"]["reporter"] == 1


def test_the_agent_that_was_dropped_half_way_is_restored_from_the_file(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = result_of(capsys, project)

    snapshot = result["snapshot"]
    assert snapshot["forgotten"] is True
    assert snapshot["restored"] == ["simplicity-reviewer"]
    state = PersistentRegistry.load_state(snapshot["file"])
    assert "simplicity-reviewer" in state["agents"]
    assert snapshot["saved"] == 12
    assert result["review"]["picked"] == "simplicity-reviewer"


def test_everybody_has_left_at_the_end_and_one_of_them_twice(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registry = result_of(capsys, project)["registry"]

    assert registry["remaining"] == 0
    assert registry["joined"] == 13
    assert sorted(registry["left"]) == ["collected", "unregistered"]
    assert sorted(registry["left"]["unregistered"]) == [
        "analyst_0",
        "analyst_1",
        "analyst_2",
        "analyst_3",
        "archivist",
        "dispatcher",
        "editor",
        "reporter",
        "scout",
    ]
    assert sorted(registry["left"]["collected"]) == [
        "docs-reviewer",
        "imports-reviewer",
        "simplicity-reviewer",
        "simplicity-reviewer",
    ]


def test_everybody_is_healthy_before_the_work(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    healthy = result_of(capsys, project)["healthy"]

    assert len(healthy) == 12
    assert all(healthy.values())


def test_a_program_that_runs_it_keeps_its_own_agents(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Guest: ...

    guest = Guest()
    AgentRegistry.register(guest, "scout")

    result_of(capsys, project)

    assert AgentRegistry.get("scout") is guest
    assert "analyst_0" not in AgentRegistry.names()
    AgentRegistry.unregister_if_same("scout", guest)


# -- hard folders ---------------------------------------------------------------


def test_files_that_can_not_be_read_are_reported_and_the_rest_goes_on(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "broken.py").write_text("def broken(:\n")
    (project / "latin.py").write_bytes(b"name = '\xe9'\n")
    (project / "loop.py").symlink_to("loop.py")

    result = result_of(capsys, project)

    problems = {entry["path"]: entry["problem"] for entry in result["not_read"]}
    assert sorted(problems) == ["broken.py", "latin.py", "loop.py"]
    assert problems["broken.py"].startswith("line 1: ")
    assert "utf-8" in problems["latin.py"].lower()
    assert result["totals"]["files"] == 2
    assert "| `broken.py` | line 1: " in Path(result["report"]).read_text(encoding="utf-8")


def test_a_folder_of_nothing_but_broken_files_still_gets_its_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.py").write_text("def broken(:\n")

    result = result_of(capsys, tmp_path)

    assert result["totals"]["files"] == 0
    assert result["review"]["worst"] == []
    assert "## Not read" in Path(result["report"]).read_text(encoding="utf-8")


def test_a_circle_of_links_is_not_followed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "inner" / "up").symlink_to(project, target_is_directory=True)

    assert result_of(capsys, project)["totals"]["files"] == 2


def test_a_folder_that_is_too_big_is_cut_and_that_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(capsys, project, "--limit", 1)

    assert result["totals"]["files"] == 1
    assert result["cut"] == "only the first 1 files are read"
    assert "only the first 1 files are read" in Path(result["report"]).read_text(encoding="utf-8")


def test_a_single_file_will_do(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(capsys, project / "simple.py")

    assert [file["path"] for file in result["files"]] == ["simple.py"]


def test_a_file_name_can_not_play_tricks_on_the_terminal_or_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a\x1b[31m|`[bold]\n.py").write_text("def broken(:\n")

    assert main(["demo", str(tmp_path), "--report", str(tmp_path / "report.md")]) == 0

    assert "\x1b" not in capsys.readouterr().out
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "`a\\x1b[31m\\|'[bold]\\n.py`" in report


def test_the_source_that_is_read_may_cause_warnings_and_nobody_hears_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.py").write_text('a = "\\d"\nb = 1 is 1\nc = 0x1for x in y\n')

    assert main(["demo", str(tmp_path)]) == 0

    assert capfd.readouterr().err == ""


# -- bad usage -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("nowhere", "No such file or directory"),
        ("notes.txt", "no Python file"),
        ("notes.txt/inner", "Not a directory"),
        ("empty", "there is no Python file in"),
        ("circle", "can't read"),
        ("nul\0", "can't read"),
    ],
)
def test_a_path_that_is_no_good_is_refused_with_the_way_out(
    path: str, complaint: str, tmp_path: Path, temporary_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "circle").symlink_to("circle")

    assert main(["demo", str(tmp_path / path)]) == 2

    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("agentreg demo: error: ")
    assert complaint in output.err
    assert "expected a folder of Python files, or one file that ends in .py" in output.err
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.parametrize(("report", "complaint"), [(".", "is a folder"), ("nowhere/report.md", "does not exist")])
def test_a_report_that_can_not_be_written_is_refused_before_the_work(
    report: str, complaint: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(project), "--report", str(tmp_path / report)]) == 2

    output = capsys.readouterr()
    assert output.out == ""
    assert complaint in output.err


@pytest.mark.parametrize("number", ["0", "65", "many", "1.5"])
def test_a_pool_needs_a_sensible_size(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--analysts", number]) == 2

    assert f"expected a whole number from 1 to 64, got '{number}'" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_report_that_fails_on_the_way_ends_with_one_and_leaves_nothing(
    project: Path, temporary_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(project), "--report", "/dev/full"]) == 1

    assert "the agent 'reporter' failed" in capsys.readouterr().err
    assert AgentRegistry.names() == []
    assert list(temporary_folder.iterdir()) == []


# -- as a process -----------------------------------------------------------------


def test_it_runs_from_any_folder_and_says_nothing_on_standard_error(project: Path, temporary_folder: Path) -> None:
    code, output, errors = command(temporary_folder, ".", cwd=project / "inner")

    assert code == 0
    assert errors == ""
    assert "read      1 file, 21 lines, 1 function\n" in output


def test_as_json_the_process_prints_one_document(project: Path, temporary_folder: Path) -> None:
    code, output, errors = command(temporary_folder, project, "--json", cwd=project)

    assert (code, errors) == (0, "")
    assert json.loads(output)["totals"]["files"] == 2


def test_a_bad_path_makes_the_process_end_with_two(temporary_folder: Path) -> None:
    code, output, errors = command(temporary_folder, "/no/such/folder")

    assert (code, output) == (2, "")
    assert "No such file or directory" in errors


def test_it_tells_the_same_story_without_rich(project: Path, temporary_folder: Path) -> None:
    program = "import sys; sys.modules['rich'] = None; from agentreg.cli import main; sys.exit(main())"

    code, output, errors = command(temporary_folder, project, program=program)

    assert (code, errors) == (0, "")
    assert "registered now: 0 agents, 0 pools" in output


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are another thing there")
@pytest.mark.parametrize("rich", [True, False])
def test_on_a_terminal_there_is_a_live_table_if_rich_is_there(
    rich: bool, project: Path, temporary_folder: Path
) -> None:
    if rich:
        pytest.importorskip("rich")
    block = "" if rich else "sys.modules['rich'] = None; "
    program = f"import sys; {block}from agentreg.cli import main; sys.exit(main())"

    code, screen, errors = on_a_terminal(temporary_folder, project, "--fast", program=program)

    assert (code, errors) == (0, "")
    assert ("\x1b[" in screen) is rich
    assert ("╭─" in screen) is rich
    assert "> registered now: 0 agents, 0 pools" in screen


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are another thing there")
def test_on_a_terminal_it_takes_its_time_and_says_so(project: Path, temporary_folder: Path) -> None:
    _, slow, _ = on_a_terminal(temporary_folder, project)
    _, fast, _ = on_a_terminal(temporary_folder, project, "--fast")

    assert "--fast" in slow
    assert "--fast" not in fast


def test_a_terminal_that_knows_no_unicode_gets_the_story_too(project: Path, temporary_folder: Path) -> None:
    (project / "grün.py").write_text("def broken(:\n", encoding="utf-8")
    program = "import sys; sys.stdout.reconfigure(encoding='ascii'); from agentreg.cli import main; sys.exit(main())"

    code, output, errors = command(temporary_folder, project, program=program)

    assert (code, errors) == (0, "")
    assert "gr\\xfcn.py" in output


def test_a_reader_that_stops_reading_is_no_error_with_a_traceback(project: Path, temporary_folder: Path) -> None:
    program = (
        "import os, sys\n"
        "reading, writing = os.pipe()\n"
        "os.close(reading)\n"
        "os.dup2(writing, 1)\n"
        "from agentreg.cli import main\n"
        "sys.exit(main())\n"
    )

    code, _, errors = command(temporary_folder, project, program=program)

    assert (code, errors) == (141, "")
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_ctrl_c_in_the_middle_ends_with_130_and_leaves_nothing(project: Path, temporary_folder: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in a shell's background job
        "from agentreg.demo import crew\n"
        "once, measure = [True], crew.measure\n"
        "def interrupt(file, path):\n"
        "    if once and once.pop():\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return measure(file, path)\n"
        "crew.measure = interrupt\n"
        "from agentreg import AgentRegistry\n"
        "from agentreg.cli import main\n"
        "code = main()\n"
        "print(AgentRegistry.names())\n"
        "sys.exit(code)\n"
    )

    code, output, errors = command(temporary_folder, project, program=program)

    assert code == 128 + signal.SIGINT
    assert errors == "agentreg demo: interrupted\n"
    assert output.splitlines()[-1] == "[]"
    assert list(temporary_folder.iterdir()) == []
