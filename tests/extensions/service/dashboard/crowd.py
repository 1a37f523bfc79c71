"""Many agents at once."""

from __future__ import annotations

from typing import Any

from ..serving import Service

STATES = ("active", "idle", "maintenance", "error")


def enter(service: Service, records: list[dict[str, Any]]) -> None:
    """Enter *records* as a directory elsewhere would."""
    for start in range(0, len(records), 500):
        items = [{"record": record} for record in records[start : start + 500]]
        status, answer = service.ask("POST", "/registry/records:put", {"items": items})
        assert status == 200, answer


def record(number: int, **fields: Any) -> dict[str, Any]:
    """One of a crowd: ``walker-0``, ``walker-1``, ..., over five runtimes, three hosts and four states."""
    return {
        "agent_id": f"id-{number}",
        "name": f"walker-{number}",
        "runtime_id": f"crew-{number % 5}",
        "token": f"token-{number}",
        "host": f"host-{number % 3}",
        "cwd": f"/home/ada/tree/{number % 50}",
        "work_state": STATES[number % 4],
        "registered": 1_700_000_000.0 + number,
        "resources": {"active_tasks": number % 10, "max_concurrent_tasks": 10},
        **fields,
    }
