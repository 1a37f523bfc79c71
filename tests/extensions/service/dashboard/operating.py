"""A service that samples, watches, allocates and decides, and what it has recorded before."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentreg.extensions.monitoring import MetricsStore
from agentreg.extensions.service import Workspace

from ..serving import Service

_SERVE = """
import json, sys
from agentreg.extensions.service import Settings, serve
from agentreg.extensions.service.operations import OperationsConfig
asked = json.loads(sys.argv[2])
operations = asked and OperationsConfig(**asked)
serve(Settings(port=0, workspace=sys.argv[1], operations=operations), lambda found: print(found.url, flush=True))
"""
HOUR = 3600.0


@contextmanager
def operating(workspace: Path, operations: dict[str, Any] | None) -> Iterator[Service]:
    """A service whose operations are set up like this; None: they are off."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _SERVE, str(workspace), json.dumps(operations)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            assert url, "the service did not start"
            yield Service(workspace, process, url)
        finally:
            process.kill()


def recorded(workspace: Path, agents: list[str], now: float, days: int, gap: tuple[int, int], interval: float) -> None:
    """Have *agents* recorded, twice an hour, in the last *days*, but not in the hours between *gap* ago."""
    clock = [now - days * 24 * HOUR]
    place = Workspace(workspace)
    place.make()
    with MetricsStore(place.database, interval=interval, clock=lambda: clock[0]) as store:
        for hour in range(days * 24, 0, -1):
            clock[0] = now - hour * HOUR
            for part in range(0 if gap[0] >= hour > gap[1] else 2):
                for metric, values in _samples(agents, hour, part).items():
                    store.record_many(metric, values)


def _samples(agents: list[str], hour: int, part: int) -> dict[str, dict[str, float]]:
    wave = 0.5 + 0.3 * math.sin(hour / 24 * math.tau) + 0.02 * part
    return {
        "memory_usage": {name: min(1.0, wave + at / 50) for at, name in enumerate(agents)},
        "response_time": {name: 2 * wave + at / 10 for at, name in enumerate(agents)},
    }
