"""The pages of the groups of benchmarks: what each is about."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ABOUT", "GROUPS", "TITLES", "place_of"]

#: What `make bench-...` asks for -> the benchmarks in it.
GROUPS = {
    "coordination": ("coordination_memory", "coordination_sqlite", "coordination_redis"),
    "definitions": ("definitions",),
    "service": ("service_http",),
    "operations": ("operations_resources", "operations_metrics", "operations_alerts"),
}
TITLES = {
    "coordination": "The directory and its stores",
    "definitions": "Reading definitions",
    "service": "The service",
    "operations": "Operations",
}
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
    "service": """\
What the service costs over HTTP and WebSocket: beside a bare ASGI application that reads its body on the same uvicorn
(uvloop, httptools), and beside the standard library's `ThreadingHTTPServer`, which commits every beat to SQLite.
`make bench-service` measures it again; it needs Linux.

![How long a start takes over the number of records](service.png)

The server has one core to itself and the load another, as far as the machine has two. Where *processor* is said, it is
what the server's threads spent, whatever others did meanwhile; the rest is on the wall, and a busy machine shows in it.
The load is made by a program of this repository, `service_load.py`: wrk can neither keep a rate, nor read a WebSocket,
nor send another body each time.
""",
    "operations": """\
What operations cost at 4,462 agents: allocating memory, beside the two ways that one would write first; sampling six
metrics of every agent every ten seconds, with roll-ups and the disk; counting tasks; and evaluating a hundred rules.
Thirty days on disk are measured with a few agents in compressed time, and counted up. `make bench-operations` measures
it again; `operations_service.py`, which is no part of it, runs a whole service with as many agents.

![What allocating and releasing costs over the number of agents](operations.png)
""",
}


def place_of(group: str, kind: str) -> Path:
    """The file of a group's page (``md``) or plot (``png``)."""
    return Path(__file__).with_name(f"{group}.{kind}")
