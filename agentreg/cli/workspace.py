"""The workspace: the folder in which agentreg keeps what belongs to this user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["definitions_file", "workspace"]


def workspace() -> Path:
    """What ``AGENTREG_WORKSPACE`` names, else ``agentreg`` in the platform's folder for a user's data.

    The same as ``platformdirs`` says, without the package: the commands that
    use it have to start with the standard library alone.
    """
    given = os.environ.get("AGENTREG_WORKSPACE")
    return Path(given).expanduser().absolute() if given else _user_data() / "agentreg"


def definitions_file() -> Path:
    """Where `agentreg definitions` keeps its table, if no other store is named."""
    return workspace() / "data" / "definitions.db"


def _user_data() -> Path:
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME", "").strip() or home / ".local" / "share")
