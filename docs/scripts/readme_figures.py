"""Copy some figures of benchmarks/README.md into README.md, between its two ``figures`` comments.

python docs/scripts/readme_figures.py
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BENCHMARKS = ROOT / "benchmarks" / "README.md"
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->\n"

# The work and the peer of a row there -> what the work is called here.
ROWS = {
    ("get, hit", "WeakValueDictionary"): "look up a name",
    ("get, hit", "dict"): "look up a name",
    ("register + unregister_if_same", "marsys"): "register an agent, and unregister it",
    ("all()", "marsys"): "list all of 4,462 agents",
}
HEAD = """\
| work | agentreg | compared with | ratio |
|---|--:|---|--:|
"""
TAIL = """
[All figures](benchmarks/README.md): those that miss their target too, with the machine, the date, and how they were
measured.
"""


def with_figures(readme: str, benchmarks: str | None) -> str:
    """The README with the figures of the benchmarks, or without any where there are none yet.

    Raises:
        SystemExit: a row is not found.
    """
    before, _, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"README.md lacks the lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}{'' if benchmarks is None else _table(benchmarks)}{END}{after}"


def read_benchmarks() -> str | None:
    """The figures' file, or None."""
    return BENCHMARKS.read_text(encoding="utf-8") if BENCHMARKS.is_file() else None


def _table(benchmarks: str) -> str:
    measured = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in benchmarks.splitlines() if "|" in line
    ]
    rows = []
    for (work, peer), label in ROWS.items():
        row = next((cells for cells in measured if cells[0] == work and cells[2].startswith(f"{peer} ")), None)
        if row is None:
            raise SystemExit(f"benchmarks/README.md has no row {work!r} beside {peer!r}; change ROWS in {__file__}")
        rows.append(f"| {label} | {row[1]} | {row[2]} | {row[3].split(' ')[0]} |\n")
    return f"\n{HEAD}{''.join(rows)}{TAIL}\n"


if __name__ == "__main__":
    README.write_text(with_figures(README.read_text(encoding="utf-8"), read_benchmarks()), encoding="utf-8")
