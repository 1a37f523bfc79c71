"""Records of other directories are checked before they are kept: what is kept is shown to everybody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .driving import Client, run, service

RECORD = {"agent_id": "a", "runtime_id": "worker-1", "token": "t", "registered": 1.0}


async def batch(client: Client, verb: str, item: Any) -> tuple[int, Any]:
    content = json.dumps({"items": [item]})
    headers = {"content-type": "application/json"}
    answer = await client.http.post(f"/registry/records:{verb}", content=content, headers=headers)
    return answer.status_code, answer.json()


async def views(client: Client) -> list[int]:
    paths = ("/agents", "/registry/agents", "/registry/agents/a", "/registry/stats")
    return [(await client.http.get(path)).status_code for path in paths]


@run
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": 7}, "Expected `str`, got `int` - at `$.record.name`"),
        ({"agent_id": ""}, "record.agent_id: expected some text"),
        ({"registered": "yesterday"}, "$.record.registered"),
        ({"registered": 1e400}, "$.record.registered"),
        ({"registered": -1}, "$.record.registered"),
        ({"created": 1e15}, "$.record.created"),
        ({"pid": "7"}, "$.record.pid"),
        ({"pid": -7}, "$.record.pid"),
        ({"config": []}, "$.record.config"),
        ({"status": "happy"}, "'happy' is not a valid AgentStatus"),
        ({"work_state": "asleep"}, "'asleep' is not a valid WorkState"),
        ({"active_tasks": "two"}, "$.record.active_tasks"),
        ({"capabilities": [7]}, "record.capabilities: expected a str, got 7"),
        ({"version": 2}, "$.record.version"),
    ],
)
async def test_a_record_with_the_wrong_types_is_refused_and_spoils_no_listing(
    fields: dict[str, Any], named: str
) -> None:
    async with service() as client:
        await batch(client, "put", {"record": RECORD})
        status, answer = await batch(client, "put", {"record": {**RECORD, "agent_id": "b", **fields}})
        patched, _ = await batch(client, "patch", {"agent_id": "a", "token": "t", "fields": fields})

        assert (status, answer["pointer"]) == (400, "/items/0")
        assert named in answer["detail"]
        assert patched == 400 or set(fields) <= {"agent_id", "registered"}  # no fields of a patch
        assert await views(client) == [200] * 4


@run
async def test_what_a_later_version_says_is_left_out_and_the_rest_kept() -> None:
    async with service() as client:
        status, answer = await batch(client, "put", {"record": {**RECORD, "something later": 1, "version": "2"}})
        found = (await client.get("/registry/agents/a"))[1]

    assert (status, answer["results"], found["version"]) == (200, [None], "2")


@run
async def test_half_a_character_in_a_record_is_shown_with_an_escape() -> None:
    async with service() as client:
        await batch(client, "put", {"record": {**RECORD, "name": "half \ud800", "metadata": {"\udfff": 1}}})

        assert await views(client) == [200] * 4
        assert (await client.get("/registry/agents/a"))[1]["name"] == "half \ud800"


@run
@pytest.mark.parametrize("agent_id", ["日本", "a b", "a/b?c#d", "50%"])
async def test_the_location_of_a_new_record_leads_to_it_whatever_its_id(agent_id: str) -> None:
    async with service() as client:
        made = await client.http.post("/registry/agents", json={"agent_id": agent_id, "name": "x"})
        found = await client.http.get(made.headers["location"])

    assert (made.status_code, found.status_code, found.json()["agent_id"]) == (201, 200, agent_id)
