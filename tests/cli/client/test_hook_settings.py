"""`agentreg hook install` and `uninstall`: two hooks come into Claude Code's settings, and leave no trace."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentreg.cli.client.hook_command import commands
from agentreg.cli.client.settings import install, uninstall
from agentreg.cli.errors import CommandError
from tests.cli.client.conftest import Call

COMMANDS = {"SessionStart": "/opt/agentreg hook session-start", "SessionEnd": "/opt/agentreg hook session-end"}
OTHER = {"type": "command", "command": "echo hello", "timeout": 5}
STRANGE = """\
{
      "model" :   "opus",
   "hooks":{ "SessionStart":[ {"matcher":"startup","hooks":[{"type":"command","command":"a"} ]}],
  "PreToolUse": []   } ,

   "permissions": {"allow":["Bash(ls:*)"], "deny":[ ]}, "caf\\u00e9": "\u00e9", "n": 1.50e3 }

"""


def hook(command: str) -> dict[str, Any]:
    return {"hooks": [{"type": "command", "command": command}]}


def files_of(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


# -- install ------------------------------------------------------------------


def test_a_file_that_isn_t_there_is_made(tmp_path: Path) -> None:
    file = tmp_path / "home" / ".claude" / "settings.json"

    assert install(file, COMMANDS)

    assert json.loads(file.read_text()) == {"hooks": {event: [hook(COMMANDS[event])] for event in COMMANDS}}
    assert [path.name for path in file.parent.iterdir()] == ["settings.json"]


def test_the_hooks_come_beside_those_that_are_there(file: Path) -> None:
    file.write_text(STRANGE)

    assert install(file, COMMANDS)

    before, after = json.loads(STRANGE), json.loads(file.read_text())
    assert after["hooks"]["SessionStart"] == [*before["hooks"]["SessionStart"], hook(COMMANDS["SessionStart"])]
    assert after["hooks"]["SessionEnd"] == [hook(COMMANDS["SessionEnd"])]
    assert [*after] == [*before]
    assert {**after, "hooks": 0} == {**before, "hooks": 0}


def test_every_line_that_says_something_else_stays_as_it_is(file: Path) -> None:
    file.write_text(STRANGE)

    install(file, COMMANDS)

    assert file.read_text().startswith(STRANGE[: STRANGE.index('],\n  "PreToolUse"')])
    assert file.read_text().endswith(STRANGE[STRANGE.index("   } ,") :])


def test_what_was_there_before_is_kept_beside_it(file: Path) -> None:
    file.write_text(STRANGE)
    file.chmod(0o600)

    install(file, COMMANDS)

    backup = file.with_name("settings.json.agentreg-backup")
    assert backup.read_text() == STRANGE
    assert [path.stat().st_mode & 0o777 for path in (file, backup)] == [0o600, 0o600]


def test_installing_twice_is_installing_once(file: Path) -> None:
    file.write_text(STRANGE)
    install(file, COMMANDS)
    before = files_of(file.parent)

    assert not install(file, COMMANDS)

    assert files_of(file.parent) == before


def test_a_hook_of_an_installation_that_has_moved_is_replaced(file: Path) -> None:
    file.write_text(STRANGE)
    install(file, {event: command.replace("/opt", "/old place") for event, command in COMMANDS.items()})

    assert install(file, COMMANDS)

    assert "old place" not in file.read_text()
    assert file.read_text().count("agentreg") == 2
    assert uninstall(file)
    assert file.read_text() == STRANGE


def test_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "claude.json"
    real.parent.mkdir()
    real.write_text("{}")
    file.symlink_to(real)

    install(file, COMMANDS)

    assert file.is_symlink()
    assert "session-start" in real.read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"hooks": ', "settings.json:1:11: this is no JSON"),
        ("{\n  // mine\n}", "settings.json:2:3: this is no JSON"),
        ('{"a": 1,}', "this is no JSON"),
        ("[]", "the settings: expected an object, got []"),
        ('{"hooks": []}', "hooks: expected an object, got []"),
        ('{"hooks": {"SessionEnd": {}}}', "hooks.SessionEnd: expected a list, got {}"),
        ('{"hooks": {"SessionStart": [7]}}', "hooks.SessionStart[0]: expected an object, got 7"),
        ('{"hooks": {"SessionStart": [{"hooks": {}}]}}', "hooks.SessionStart[0].hooks: expected a list, got {}"),
        ('{"hooks": {"SessionStart": [{"hooks": ["x"]}]}}', "hooks.SessionStart[0].hooks[0]: expected an object"),
        ("[" * 100_000, "can't be read as JSON"),
    ],
)
@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_what_can_t_be_understood_is_told_and_untouched(
    text: str, said: str, verb: str, file: Path, call: Call
) -> None:
    file.write_text(text)

    done = call("hook", verb, "--settings", file)

    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert files_of(file.parent) == {"settings.json": text.encode()}


def test_bytes_that_are_no_text_are_untouched(file: Path) -> None:
    file.write_bytes(b'{"a": "\xff"}')

    with pytest.raises(CommandError, match="no UTF-8"):
        install(file, COMMANDS)

    assert file.read_bytes() == b'{"a": "\xff"}'


# -- uninstall ----------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        STRANGE.encode(),
        b"",
        b" \n",
        b"{}",
        b"{ }\n",
        b'{"hooks":{}}',
        b'{"hooks": { "SessionEnd" : [ ] }}',
        b'{\r\n\t"a": 1\r\n}\r\n',
        b'\xef\xbb\xbf{"a": 1}\n',
        b'{"a":1,"a":2}',
        json.dumps({"hooks": {"SessionStart": [{"hooks": [OTHER]}], "SessionEnd": [{"hooks": []}]}}, indent=4).encode(),
    ],
)
def test_taken_out_again_no_trace_is_left(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    install(file, COMMANDS)
    assert b"session-end" in file.read_bytes()

    assert uninstall(file)

    assert files_of(file.parent) == {"settings.json": content}


def test_a_file_and_a_folder_that_were_made_go_again(tmp_path: Path) -> None:
    file = tmp_path / ".claude" / "settings.json"
    install(file, COMMANDS)

    assert uninstall(file)

    assert files_of(tmp_path) == {}


def test_a_folder_that_holds_something_else_stays(tmp_path: Path) -> None:
    file = tmp_path / ".claude" / "settings.json"
    install(file, COMMANDS)
    (file.parent / "CLAUDE.md").touch()

    uninstall(file)

    assert files_of(tmp_path) == {".claude": None, ".claude/CLAUDE.md": b""}


def test_what_others_have_written_meanwhile_stays(file: Path) -> None:
    file.write_text('{"hooks": {"SessionEnd": []}}')
    install(file, COMMANDS)
    changed = json.loads(file.read_text())
    changed["model"] = "opus"
    changed["hooks"]["SessionStart"][0]["hooks"].append(OTHER)
    file.write_text(json.dumps(changed, indent=2))

    assert uninstall(file)

    expected = {"hooks": {"SessionEnd": [], "SessionStart": [{"hooks": [OTHER]}]}, "model": "opus"}
    assert json.loads(file.read_text()) == expected
    assert [*files_of(file.parent)] == ["settings.json"]


def test_where_nothing_was_put_in_nothing_is_taken_out(file: Path) -> None:
    assert not uninstall(file)
    file.write_text(STRANGE)

    assert not uninstall(file)

    assert files_of(file.parent) == {"settings.json": STRANGE.encode()}


def test_an_old_backup_does_not_come_back_for_a_file_that_was_removed(file: Path) -> None:
    file.write_text('{"old": true}')
    install(file, COMMANDS)
    file.unlink()
    install(file, COMMANDS)

    uninstall(file)

    assert files_of(file.parent) == {}


HOOKS = st.fixed_dictionaries({"type": st.just("command"), "command": st.text(max_size=5)})
GROUPS = st.lists(st.fixed_dictionaries({"hooks": st.lists(HOOKS, max_size=2)}), max_size=2)
EVENTS = st.dictionaries(st.sampled_from(["SessionStart", "SessionEnd", "Stop"]), GROUPS, max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries({}, optional={"model": st.text(max_size=3), "hooks": EVENTS, "z": st.none()}),
    st.sampled_from([None, 0, 2, 4, "\t"]),
)
def test_whatever_the_settings_are_they_come_back_as_they_were(file: Path, document: Any, style: Any) -> None:
    text = json.dumps(document, indent=style)
    file.write_text(text, newline="")

    install(file, COMMANDS)
    installed = json.loads(file.read_text())
    uninstall(file)

    for event, command in COMMANDS.items():
        assert installed["hooks"][event] == [*document.get("hooks", {}).get(event, []), hook(command)]
    assert files_of(file.parent) == {"settings.json": text.encode()}


# -- the command --------------------------------------------------------------


def test_the_user_s_settings_are_meant_unless_others_are_named(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(project)

    outputs = [call("hook", "install"), call("hook", "install", "--project"), call("hook", "install", "--user")]

    assert [done.code for done in outputs] == [0, 0, 0]
    files = [tmp_path / "home/.claude/settings.json", project / ".claude/settings.json"]
    assert [json.loads(file.read_text())["hooks"].keys() for file in files] == [COMMANDS.keys()] * 2
    assert "nothing to do" in outputs[2].out

    assert call("hook", "uninstall", "--project").code == call("hook", "uninstall").code == 0
    assert not any(file.parent.exists() for file in files)


def test_the_command_is_this_very_agentreg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = tmp_path / "my scripts"
    scripts.mkdir()
    (scripts / "agentreg").touch()
    monkeypatch.setattr("sys.executable", str(scripts / "python"))

    found = commands(shared=False)

    assert shlex.split(found["SessionStart"]) == [str(scripts / "agentreg"), "hook", "session-start"]
    assert shlex.split(found["SessionEnd"])[-1] == "session-end"


def test_settings_that_are_shared_name_no_place_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "agentreg"
    script.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert commands(shared=True)["SessionEnd"] == "agentreg hook session-end"


def test_a_command_is_recognised_wherever_agentreg_is(file: Path) -> None:
    for command in (
        "agentreg hook session-start",
        "'/my scripts/agentreg' hook session-start",
        '"C:\\Program Files\\agentreg.exe" hook session-start --name x',
        "/usr/bin/python3 -P -m agentreg hook session-start",
    ):
        file.write_text(json.dumps({"hooks": {"SessionStart": [hook(command)]}}))

        assert uninstall(file), command


# -- what users put in --------------------------------------------------------


def test_an_option_that_somebody_added_to_the_hook_s_command_was_lost_when_it_was_installed_again(file: Path) -> None:
    install(file, {event: f"/old{command}" for event, command in COMMANDS.items()})
    file.write_text(file.read_text().replace("session-start", "session-start --name 'my laptop'"))

    assert install(file, COMMANDS)

    assert json.loads(file.read_text())["hooks"] == {
        "SessionStart": [hook("/opt/agentreg hook session-start --name 'my laptop'")],
        "SessionEnd": [hook(COMMANDS["SessionEnd"])],
    }
    assert not install(file, COMMANDS)
    assert uninstall(file)


def test_somebody_whose_settings_keep_hooks_from_being_called_is_told_so(call: Call, file: Path) -> None:
    file.write_text('{"disableAllHooks": true}')

    disabled = call("hook", "install", "--settings", file)
    file.write_text('{"disableAllHooks": false}')
    enabled = call("hook", "install", "--settings", file)

    assert (disabled.code, enabled.code) == (0, 0)
    assert "disableAllHooks" in disabled.err
    assert "disableAllHooks" not in enabled.err


def test_somebody_without_the_service_is_told_what_to_install(
    call: Call, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    installed = call("hook", "install", "--settings", file)

    assert installed.code == 0
    assert 'pip install "agentreg[service]"' in installed.err
