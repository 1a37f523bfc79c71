"""`agentreg completion`: scripts that real shells complete with."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentreg.cli import COMMANDS, main
from agentreg.cli.completion import SHELLS


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def shell(name: str, program: str, folder: Path) -> list[str]:
    """What a shell prints, line by line; its own settings are left out."""
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name}")
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
    done = subprocess.run([name, *options, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.fixture
def completed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> object:
    """What bash offers for the words of a line."""
    (tmp_path / "agents.db").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "agentreg.bash").write_text(script("bash", capsys))

    def complete(*words: str) -> set[str]:
        line = shlex.join(words)
        program = (
            f"source agentreg.bash; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; COMP_LINE={shlex.quote(line)}; "
            'COMP_POINT=${#COMP_LINE}; _shtab_agentreg; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        return {each.strip() for each in shell("bash", program, tmp_path)} - {""}

    return complete


def test_bash_completes_commands_verbs_options_choices_and_files(completed: object) -> None:
    assert callable(completed)
    assert completed("agentreg", "") == {*COMMANDS}
    assert completed("agentreg", "de") == {name for name in COMMANDS if name.startswith("de")}
    assert completed("agentreg", "hook", "") == {"install", "uninstall", "session-start", "session-end"}
    assert completed("agentreg", "heartbeat", "--") == {"--help", "--workspace", "--autostart", "--id", "--json"}
    assert completed("agentreg", "list", "--status", "st") == {"stale", "stopped"}
    assert completed("agentreg", "completion", "") == {*SHELLS}
    assert completed("agentreg", "query", "--database", "age") == {"agents.db", "agentreg.bash"}
    assert completed("agentreg", "serve", "--workspace", "") == {"folder"}


def test_fish_completes_commands_verbs_and_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "agentreg.fish").write_text(script("fish", capsys))

    def complete(line: str) -> set[str]:
        program = f"source agentreg.fish; complete -C {shlex.quote(line)}"
        return {each.split("\t")[0] for each in shell("fish", program, tmp_path)}

    assert complete("agentreg ") >= {*COMMANDS}
    assert complete("agentreg hook ") >= {"install", "uninstall", "session-start", "session-end"}
    assert complete("agentreg list --status st") >= {"stale", "stopped"}


def test_zsh_takes_the_script_for_a_completion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "_agentreg").write_text(script("zsh", capsys))

    shell("zsh", "zsh -n _agentreg", tmp_path)
    program = "fpath+=$PWD; autoload -Uz compinit; compinit -u -d dump; print $_comps[agentreg]"
    assert shell("zsh", program, tmp_path) == ["_agentreg"]


def test_without_shtab_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)

    assert main(["completion", "bash"]) == 1

    assert 'pip install "agentreg[cli]"' in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["tcsh"], ["bash", "zsh"]])
def test_bad_usage_exits_with_2(arguments: list[str]) -> None:
    assert main(["completion", *arguments]) == 2


def test_other_commands_start_without_it() -> None:
    program = "import sys; from agentreg.cli import main; main(['list', '--help']); print('shtab' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "False"
