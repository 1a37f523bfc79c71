"""What ``GET /agents`` shows, made anew only where something has changed: always as if all of it were made anew."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentreg.extensions.coordination import AgentDirectory, AgentMetadata
from agentreg.extensions.coordination.backend import Delete, Patch, Put
from agentreg.extensions.service import open_directory
from agentreg.extensions.service.rows import Rows

from .driving import FakeClock

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("register", "again", "stop", "rename", "remove", "beat", "wait", "look")),
        st.integers(0, 4),
        st.sampled_from((1.0, 2.0, 3.0)),
    ),
    max_size=40,
)


async def carry_out(directory: AgentDirectory, clock: FakeClock, step: tuple[str, int, float], token: str) -> None:
    what, number, started = step
    agent_id, now = f"a{number}", directory.agents.get(f"a{number}")
    rest = {"name": f"name {token}", "metadata": {"k": [number]}}
    record = AgentMetadata(agent_id, "service", token, registered=started, rest=rest)
    if what == "register" and now is None:
        await directory.carry_out([Put(record)])
    elif what == "wait":
        clock.pass_by(started)
    elif now is None:
        return
    elif what == "again":
        await directory.carry_out([Put(record, now.token)])
    elif what == "stop":
        await directory.carry_out([Patch(agent_id, now.token, {"status": "offline"})])
    elif what == "rename":
        await directory.carry_out([Patch(agent_id, now.token, {"name": f"new {token}"})])
    elif what == "remove":
        await directory.carry_out([Delete(agent_id, now.token)])
    elif what == "beat":
        directory.hear(now)


def decoded(rows: Rows) -> dict[str, Any]:
    return dict(json.loads(rows.encoded()))


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_the_rows_are_those_of_a_listing_made_anew(steps: list[tuple[str, int, float]]) -> None:
    async def run() -> None:
        clock = FakeClock()
        directory = open_directory("memory://", clock=clock)
        async with directory:
            kept = Rows(directory)
            for number, step in enumerate(steps):
                await carry_out(directory, clock, step, f"token {number}")
                if step[0] == "look":
                    decoded(kept)
            clock.pass_by(10)
            assert decoded(kept)["agents"] == decoded(Rows(directory))["agents"]

    asyncio.run(run())


def test_the_names_of_a_row_are_in_order_and_its_texts_are_escaped() -> None:
    async def run() -> str:
        async with open_directory("memory://") as directory:
            rest = {"name": 'a "name":', "metadata": {"status": ':"{'}}
            await directory.carry_out([Put(AgentMetadata("a:b", "service", "t", registered=1.5, rest=rest))])
            return Rows(directory).encoded().decode()

    agent = json.loads(asyncio.run(run()))["agents"][0]
    assert list(agent) == [
        "id", "name", "cwd", "pid", "host", "started_at", "last_heartbeat", "heartbeat_age", "status", "meta",
    ]  # fmt: skip
    assert (agent["id"], agent["name"], agent["meta"]) == ("a:b", 'a "name":', {"status": ':"{'})


def test_more_changes_than_are_kept_make_all_rows_anew() -> None:
    async def run() -> list[str]:
        async with open_directory("memory://") as directory:
            rows = Rows(directory)
            decoded(rows)
            records = [AgentMetadata(f"{number}", "service", f"{number}", registered=1.0) for number in range(1_500)]
            await directory.carry_out([Put(record) for record in records])
            return [agent["id"] for agent in decoded(rows)["agents"]]

    assert asyncio.run(run()) == [f"{number}" for number in range(1_500)]
