"""Imports: what ``import agentreg`` takes, beside what it can't do without."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from figures import Figures, Row, at_most
from timing import Effort, compare

__all__ = ["measure"]

PEER = "asyncio, dataclasses, typing_extensions"


def measure(effort: Effort) -> Figures:
    """Each import in an interpreter of its own, compiled before; without what the interpreter takes to start."""
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        works = {who: lambda who=who: _seconds(who, environment) for who in ("agentreg", PEER)}
        compared = compare(works, effort.rounds)
    return Figures([Row.of(compared, "import", "agentreg", PEER, at_most(1.3))])


def _seconds(what: str, environment: dict[str, str]) -> float:
    program = f"import time; t = time.process_time(); import {what}; print(time.process_time() - t)"
    command = [sys.executable, "-c", program]
    return float(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout)
