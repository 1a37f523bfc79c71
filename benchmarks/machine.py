"""The machine that figures were measured on."""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

__all__ = ["Machine"]

PACKAGES = ("marsys", "pykka", "kailash-kaizen")


@dataclass(frozen=True)
class Machine:
    """What figures depend on besides the code.

    Attributes:
        python: The interpreter and its version.
        cores: How many this process may use.
        processor: Its name, as far as the system says.
        system: The operating system.
        date: Of the measurement.
        load: How many other processes wanted to run when it began.
        packages: Versions of the peers.
    """

    python: str
    cores: int
    processor: str
    system: str
    date: str
    load: float
    packages: dict[str, str]

    @classmethod
    def here(cls) -> Machine:
        """This one, now."""
        return cls(
            python=f"{platform.python_implementation()} {platform.python_version()}",
            cores=len(os.sched_getaffinity(0)),
            processor=_processor(),
            system=f"{platform.system()} {platform.machine()}",
            date=datetime.date.today().isoformat(),
            load=round(os.getloadavg()[0], 1),
            packages={package: version(package) for package in PACKAGES},
        )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "an unnamed processor"
