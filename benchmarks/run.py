"""Run the benchmarks and print one table: what was done, by agentreg and by a peer, and what was to be reached."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import capabilities
import coordination
import coordination_redis
import coordination_sqlite
import definitions
import entries
import imports
import listings
import lookups
import memory
import operations
import orchestras
import pages
import pools
import readme
import service
import threads
from crowd import USUAL
from figures import Figures
from machine import Machine
from process import fresh
from timing import Effort

BENCHMARKS: dict[str, Callable[[Effort], Figures]] = {
    "lookups": lookups.measure,
    "entries": entries.measure,
    "listings": listings.measure,
    "capabilities": capabilities.measure,
    "threads": threads.measure,
    "memory": memory.measure,
    "imports": imports.measure,
    "pools": pools.measure,
    "orchestras": orchestras.measure,
}
MORE: dict[str, Callable[[Effort], Figures]] = {
    "coordination_memory": coordination.measure,
    "coordination_sqlite": coordination_sqlite.measure,
    "coordination_redis": coordination_redis.measure,
    "definitions": definitions.measure,
    "service_http": service.measure,
    **operations.PARTS,
}


def main() -> int:
    """Measure, print, and write what was asked for; 1 if a benchmark failed (a missed target is no failure)."""
    asked = _arguments()
    failed: list[str] = []
    if asked.load:
        known = json.loads(Path(asked.load).read_text(encoding="utf-8"))
        machine, figures = Machine(**known["machine"]), Figures.of(known["figures"])
    else:
        machine = Machine.here()
        figures, failed = _measured(asked.names or list(BENCHMARKS), Effort.quick() if asked.quick else Effort())
    print(readme.plain_table(figures.rows), readme.closing_line(figures.rows), sep="\n\n")
    if asked.json:
        known = {"machine": asdict(machine), "figures": asdict(figures)}
        Path(asked.json).write_text(json.dumps(known, indent=1), encoding="utf-8")
    if failed:
        print(f"failed, see above: {', '.join(failed)}", file=sys.stderr)
        return 1
    if asked.readme:
        _write_readme(figures, machine)
    if asked.page:
        _write_page(asked.page, figures, machine)
    return 0


def _write_page(group: str, figures: Figures, machine: Machine) -> None:
    import growth  # late: matplotlib

    readme.write_page(pages.place_of(group, "md"), pages.TITLES[group], pages.ABOUT[group], figures, machine)
    if figures.points:
        caption = f"{machine.date}, {machine.python}, {machine.processor}. The figure is that of the most records."
        growth.draw(figures.points, pages.place_of(group, "png"), pages.TITLES[group], caption)


def _write_readme(figures: Figures, machine: Machine) -> None:
    import plot  # late: matplotlib takes longer to import than many a benchmark

    plot.draw(figures.points, f"{machine.date}, {machine.python}, {machine.processor}. Each panel has the same scale.")
    readme.write(
        figures,
        machine,
        usual=f"{USUAL:,}",
        hits=capabilities.HITS,
        same=capabilities.SAME,
        sublinear=capabilities.SUBLINEAR,
        fresh=memory.AS_FRESH,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"what to run: {', '.join(BENCHMARKS)} (default: these), or {', '.join((*MORE, *pages.GROUPS))}",
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and no million agents; under a minute")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE")
    parser.add_argument("--load", metavar="FILE", help="take the figures of an earlier --json instead of measuring")
    parser.add_argument("--readme", action="store_true", help="write README.md and cost.png beside this program")
    parser.add_argument("--page", action="store_true", help="write the page and the plot of a group of benchmarks")
    asked = parser.parse_args()
    group = next((name for name in asked.names if name in pages.GROUPS), None)
    if group is not None and len(asked.names) > 1:
        parser.error(f"the group {group!r} stands alone")
    asked.names = list(pages.GROUPS[group]) if group is not None else asked.names
    for name in asked.names:
        if name not in BENCHMARKS | MORE:
            known = ", ".join((*BENCHMARKS, *MORE, *pages.GROUPS))
            parser.error(f"there is no benchmark {name!r}; choose from {known}")
    if asked.page and group is None:
        parser.error(f"--page writes that of a group: {', '.join(pages.GROUPS)}")
    asked.page = group if asked.page else None
    if asked.readme and (asked.quick or asked.names):
        parser.error("--readme keeps the figures of a whole run: leave out --quick and the names")
    return asked


def _measured(names: list[str], effort: Effort) -> tuple[Figures, list[str]]:
    figures, failed = Figures(), []
    for number, name in enumerate(names, 1):
        started = time.perf_counter()
        _progress(f"[{number}/{len(names)}] {name} ...", end="")
        try:
            figures.add(fresh((BENCHMARKS | MORE)[name], effort))
        except Exception:
            failed.append(name)
            traceback.print_exc()
        _progress(f"\r[{number}/{len(names)}] {name} {time.perf_counter() - started:.0f} s ")
    return figures, failed


def _progress(text: str, end: str = "\n") -> None:
    if sys.stderr.isatty():
        print(text, end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
