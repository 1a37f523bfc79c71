"""The pages of the groups of benchmarks: what each is about."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ABOUT", "GROUPS", "TITLES", "place_of"]

#: What `make bench-...` asks for -> the benchmarks in it.
GROUPS = {
    "coordination": ("coordination_memory", "coordination_sqlite", "coordination_redis"),
    "definitions": ("definitions",),
}
TITLES = {"coordination": "The directory and its stores", "definitions": "Reading definitions"}
ABOUT = {
    "coordination": """\
What the directory costs over each of its stores: beside kailash-kaizen's registry in memory, beside raw `sqlite3`
doing the same bytes, and beside the same Redis commands, encoded beforehand, on a bare socket. It is measured again by
`make bench-coordination`, which starts a Redis server of its own.

![What each store's operations cost over the number of records](coordination.png)
""",
    "definitions": """\
What reading people's definitions costs, beside a bare loop that reads the files and runs PyYAML's C loader on their
headers. `make bench-definitions` measures it again.
""",
}


def place_of(group: str, kind: str) -> Path:
    """The file of a group's page (``md``) or plot (``png``)."""
    return Path(__file__).with_name(f"{group}.{kind}")
