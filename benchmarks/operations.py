"""Operations: what allocating, measuring and watching cost, and what was to be reached.

``python benchmarks/operations.py`` prints all of it, ``--quick`` with fewer rounds; ``run.py operations`` runs each
part in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import operations_alerts
import operations_metrics
import operations_resources
from figures import Figures
from timing import Effort

__all__ = ["PARTS", "measure"]

#: Name for `run.py` -> its function.
PARTS: dict[str, Callable[[Effort], Figures]] = {
    "operations_resources": operations_resources.measure,
    "operations_metrics": operations_metrics.measure,
    "operations_alerts": operations_alerts.measure,
}


def measure(effort: Effort) -> Figures:
    """All parts, one after the other."""
    figures = Figures()
    for part in PARTS.values():
        figures.add(part(effort))
    return figures


if __name__ == "__main__":
    import sys

    import readme

    print(readme.plain_table(measure(Effort.quick() if "--quick" in sys.argv else Effort()).rows))
