"""README.md: the last figures, and how to read them; written by ``run.py --readme``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill

from figures import Figures, Row, plain
from machine import Machine
from reasons import reason

__all__ = ["closing_line", "plain_table", "write", "write_page"]

HEADINGS = ("work", "agentreg", "peer", "ratio", "target", "reached")
PLACE = Path(__file__).with_name("README.md")

TEXT = """\
# Benchmarks

<!-- Written by `make bench ARGS=--readme`: change benchmarks/readme.py or reasons.py instead. -->

What agentreg's registry costs, beside the registries of marsys, pykka and kailash-kaizen and the standard library's
`WeakValueDictionary`. `make bench` measures it again on your machine, in some minutes; `make bench ARGS=--quick` in
less than one.

![Cost of five operations over the number of agents](cost.png)

From 100 agents to 1,000,000, a look-up, a registration and a search take the same steps. Where a line rises, in `get`
and in `all()`, it is because so many agents are no longer in the processor's cache; the other registries' rise too.

## Figures

{machine}

{table}

{closing}
{misses}
## How to read them

- **ratio** is agentreg's figure divided by the peer's: below 1, agentreg is faster or smaller. Figures in `/s` are the
  other way round. In brackets: the quartiles of the rounds. Where they are far apart, the machine was busy.
- **target** is what the project has set itself: a bound on the ratio or, with a unit, on agentreg's own figure.
  Lines without one are there for comparison.
- The registry holds {usual} agents where nothing else is said.
- Compare ratios across machines; times only within one.

## How it is measured

- Each benchmark runs in a process of its own, and works that are compared run in that one process, in turn, round after
  round. A ratio is taken within a round and the median over all of them, so that a machine that is slow for a second
  is slow for both.
- Times are those that the thread spent in the processor, without garbage collections; with several threads, those on
  the wall. Memory of an entry is what `tracemalloc` counts, or where it says *resident*, what the process grew by.
- Growth is what remains after `malloc_trim`. *Untrimmed* is what the system sees before: the C library keeps some of
  what was freed for later, and does so for any dict that has grown as far.
- marsys' registry and pool are loaded from its wheel without the packages around them, its reserved names included.
  kailash-kaizen is installed whole and runs without its events: with them, the thousandth registration waits for ever.
  Its search has no limit; the first {hits} results are taken. pykka's actors are made but not started.
- Capabilities are phrases of three words, some words common and most rare, as in a language; each agent has one.
- `get` in the plot asks for a thousand of the names in random order.
- *Far below* `all()` is read as a fifth of it, *the same* as at most {same} times, *as on a fresh registry* as at most
  {fresh} times, and *sub-linear* as at most {sublinear} times the cost for ten times the vocabulary.
"""


def write(figures: Figures, machine: Machine, **words: object) -> None:
    """Write README.md anew."""
    text = TEXT.format(
        machine=_machine(machine),
        table=_markdown(HEADINGS, (row.cells() for row in figures.rows)),
        closing=closing_line(figures.rows),
        misses=_misses(figures.rows),
        **words,
    )
    PLACE.write_text(text, encoding="utf-8")


def write_page(place: Path, title: str, about: str, figures: Figures, machine: Machine) -> None:
    """Write the page of a group of benchmarks."""
    parts = [
        f"# {title}\n",
        f"<!-- Written by benchmarks/run.py --page: change benchmarks/pages.py or reasons.py instead. -->\n\n{about}",
        f"## Figures\n\n{_machine(machine)}\n",
        _markdown(HEADINGS, (row.cells() for row in figures.rows)),
        f"\n{closing_line(figures.rows)}\n{_misses(figures.rows)}",
        "What the columns mean, and how it is measured: [README.md](README.md).\n",
    ]
    place.write_text("\n".join(parts), encoding="utf-8")


def plain_table(rows: Sequence[Row]) -> str:
    """The rows as a table for the terminal."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (zip(line, widths, strict=True) for line in lines)
    return "\n".join("  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in padded)


def closing_line(rows: Sequence[Row]) -> str:
    """How many targets are reached."""
    targets = [row for row in rows if row.target is not None]
    return f"{sum(row.reached is True for row in targets)} of {len(targets)} targets are reached."


def _misses(rows: Sequence[Row]) -> str:
    missed = [row for row in rows if row.reached is False]
    if not missed:
        return ""
    lines = [_wrapped(f"- **{row.work}**: missed by {_missed_by(row)}. {reason(row)}") for row in missed]
    return "\n".join(["\n## What is missed, and why\n", *lines, ""])


def _wrapped(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    return fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _missed_by(row: Row) -> str:
    if row.target is None:
        return ""
    missed = row.target.missed_by(row)
    return f"{missed:.0%}" if missed < 1 else f"a factor of {plain(missed + 1)}"


def _machine(machine: Machine) -> str:
    packages = ", ".join(f"{package} {version}" for package, version in machine.packages.items())
    return _wrapped(
        f"Measured on {machine.date} with {machine.python} on {machine.cores} cores ({machine.processor}, "
        f"{machine.system}), on which {machine.load} other processes wanted to run at the start; {packages}."
    )


def _markdown(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    numbers = {"agentreg", "ratio", "target"}
    rule = ["--:" if heading in numbers else "---" for heading in headings]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, rule, *lines))
