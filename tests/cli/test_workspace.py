"""Where the command keeps what is this user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentreg.cli.workspace import definitions_file, workspace


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENTREG_WORKSPACE", str(tmp_path))

    assert workspace() == tmp_path
    assert definitions_file() == tmp_path / "data" / "definitions.db"


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", None, ".local/share/agentreg"),
        ("linux", "XDG_DATA_HOME", "told/agentreg"),
        ("darwin", "XDG_DATA_HOME", "Library/Application Support/agentreg"),
        ("win32", None, "AppData/Local/agentreg"),
        ("win32", "LOCALAPPDATA", "told/agentreg"),
    ],
)
def test_else_it_is_the_platform_s_folder_for_data(
    platform: str, variable: str | None, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AGENTREG_WORKSPACE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    if variable is not None:
        monkeypatch.setenv(variable, str(tmp_path / "told"))
    monkeypatch.setattr("sys.platform", platform)

    found = workspace()
    monkeypatch.undo()  # pathlib looks at the platform too

    assert found == tmp_path / expected


def test_it_is_the_folder_that_platformdirs_names(monkeypatch: pytest.MonkeyPatch) -> None:
    platformdirs = pytest.importorskip("platformdirs")
    monkeypatch.delenv("AGENTREG_WORKSPACE", raising=False)

    assert workspace() == platformdirs.user_data_path("agentreg", appauthor=False)
