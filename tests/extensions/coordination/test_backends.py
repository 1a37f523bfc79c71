"""What every store does alike: the contract between a directory and where its records are kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentreg.extensions.coordination.backend import Backend, Changes, Delete, Patch, Put, Renew
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus, to_wire

from .stores import STORES, Store, make_store, record, run, until


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return make_store(request.param, tmp_path, request)


def wired(records: list[AgentMetadata]) -> list[dict[str, Any]]:
    return [to_wire(each) for each in records]


async def news(backend: Backend, since: int = 0, mark: int = 0) -> Changes:
    changes = await backend.changes(since, mark)
    assert changes is not None
    return changes


def kinds(changes: Changes) -> list[tuple[int, str, str]]:
    return [(int(each.revision), each.kind, each.agent_id) for each in changes.changes]


@run
async def test_a_new_store_is_empty_and_at_revision_zero(store: Store) -> None:
    async with store.opened() as backend:
        snapshot = await backend.list()

    assert (snapshot.revision, snapshot.records, snapshot.beats) == (0, [], [])


@run
async def test_what_is_put_is_listed_in_the_order_of_registration(store: Store) -> None:
    records = [record(name, "r", capabilities=["one", "Two"]) for name in ("c", "a", "b")]
    before = wired(records)
    async with store.opened() as backend:
        answer = await backend.put([Put(each) for each in records])
        snapshot = await backend.list()

    assert (answer.revision, answer.results) == (3, [None, None, None])
    assert snapshot.revision == 3
    assert [{**each, "revision": 0} for each in wired(snapshot.records)] == before
    assert [each.revision for each in snapshot.records] == [1, 2, 3]


@run
async def test_every_field_comes_back_as_it_was_put(store: Store) -> None:
    full = record(
        "ann",
        "r",
        capabilities=["übersetzen", 'quo"te', "a,b"],
        name="Ann",
        endpoint="http://localhost:1",
        version="1.10",
        a2a_card={"skills": [{"name": "x", "n": None}], "deep": {"list": [1, 2.5, True]}},
        max_concurrency=3,
        budget_limit_usd=0.25,
        metadata={"text": "\u202e</script>", "empty": {}, "number": 1e300},
        config={"tools": ["Bash"], "priority": 9},
        lapsed_from=AgentStatus.DEGRADED,
    )
    full.created = 1_600_000_000.25
    full.status = AgentStatus.UNHEALTHY
    full.process = full.process._replace(host="far", pid=7, start=8.0, boot="b/c", cwd="/w")
    before = to_wire(full)
    async with store.opened() as backend:
        await backend.put([Put(full)])
        snapshot = await backend.list()

    assert wired(snapshot.records) == [{**before, "revision": 1}]


@run
async def test_an_id_that_is_held_is_refused_with_its_holder_and_nothing_changes(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", "first"))])
        answer = await backend.put([Put(record("ann", "second", "other")), Put(record("bob"))])
        snapshot = await backend.list()

    assert answer.results[0].runtime_id == "first"
    assert answer.results[0].token == "token of ann"
    assert answer.results[1] is None
    assert [(each.agent_id, each.runtime_id) for each in snapshot.records] == [("ann", "first"), ("bob", "runtime")]
    assert snapshot.revision == 2


@run
async def test_putting_ones_own_registration_again_does_nothing(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann"))])
        answer = await backend.put([Put(record("ann"))])

    assert (answer.revision, answer.results) == (1, [None])


@run
async def test_a_holder_that_is_named_gives_way_in_one_step_with_two_changes(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", "old"))])
        wrong = await backend.put([Put(record("ann", "new", "new"), replaces="somebody else's")])
        right = await backend.put([Put(record("ann", "new", "new"), replaces="token of ann", reason="died")])
        changes = await news(backend, 1)
        snapshot = await backend.list()

    assert wrong.results[0].token == "token of ann"
    assert (right.results, right.revision) == ([None], 3)
    assert kinds(changes) == [(2, "deregistered", "ann"), (3, "registered", "ann")]
    assert changes.changes[0].reason == "died"
    assert changes.changes[0].token == "token of ann"
    assert [(each.runtime_id, each.token) for each in snapshot.records] == [("new", "new")]


@run
async def test_a_deletion_names_its_registration_and_spares_the_successor(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", token="first"))])
        await backend.delete([Delete("ann", "first")])
        await backend.put([Put(record("ann", token="second"))])
        late = await backend.delete([Delete("ann", "first"), Delete("nobody", "x")])
        snapshot = await backend.list()

    assert late.results == [False, False]
    assert [each.token for each in snapshot.records] == ["second"]
    assert snapshot.revision == 3


@run
async def test_a_patch_changes_fields_and_says_what_the_status_was(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", capabilities=["x"]))])
        answer = await backend.patch(
            [
                Patch("ann", "token of ann", {"status": "unhealthy", "lapsed_from": "active"}),
                Patch("ann", "token of ann", {"metadata": {"a": 1}, "capabilities": ["y", "z"]}),
                Patch("ann", "wrong", {"status": "offline"}),
                Patch("nobody", "x", {"status": "offline"}),
            ]
        )
        changes = await news(backend, 1)
        [there] = (await backend.list()).records

    assert (answer.revision, answer.results) == (3, [True, True, False, False])
    assert [(each.kind, each.fields) for each in changes.changes] == [
        ("updated", {"status": "unhealthy", "lapsed_from": "active", "old_status": "active"}),
        ("updated", {"metadata": {"a": 1}, "capabilities": ["y", "z"]}),
    ]
    assert there.status is AgentStatus.UNHEALTHY
    assert there.lapsed_from is AgentStatus.ACTIVE
    assert (there.metadata, there.capabilities, there.revision) == ({"a": 1}, ("y", "z"), 3)


@run
async def test_a_patch_to_what_is_so_already_is_no_change(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", endpoint="here"))])
        same: dict[str, Any] = {"status": "active", "lapsed_from": None, "endpoint": "here"}
        same |= {"work_state": "active", "metadata": {}}
        answer = await backend.patch([Patch("ann", "token of ann", same)])

    assert (answer.revision, answer.results) == (1, [True])


@run
async def test_a_field_can_be_set_back_to_its_default(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", endpoint="here", lapsed_from=AgentStatus.ACTIVE))])
        await backend.patch([Patch("ann", "token of ann", {"endpoint": None, "lapsed_from": None})])
        [there] = (await backend.list()).records

    assert (there.endpoint, there.lapsed_from) == (None, None)


@run
async def test_the_log_tells_everything_in_order_and_without_gaps(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann")), Put(record("bob"))])
        await backend.patch([Patch("bob", "token of bob", {"status": "degraded"})])
        await backend.delete([Delete("ann", "token of ann", "collected")])
        everything = await news(backend)
        last = await news(backend, 3)
        nothing = await news(backend, 4)

    assert kinds(everything) == [
        (1, "registered", "ann"),
        (2, "registered", "bob"),
        (3, "updated", "bob"),
        (4, "deregistered", "ann"),
    ]
    assert everything.revision == 4
    assert everything.changes[0].record is not None
    assert everything.changes[0].runtime_id == "runtime"
    assert everything.changes[3].reason == "collected"
    assert kinds(last) == [(4, "deregistered", "ann")]
    assert (nothing.revision, nothing.changes) == (4, [])


@run
async def test_a_revision_that_the_store_never_had_asks_for_a_new_listing(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann"))])

        assert await backend.changes(99, 0) is None


@run
async def test_a_beat_keeps_a_conditional_removal_and_patch_off(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", "r")), Put(record("bob", "r"))])
        mark = (await backend.list()).mark
        await backend.renew([Renew("r", "ann", "token of ann")])
        patched = await backend.patch(
            [
                Patch("ann", "token of ann", {"status": "unhealthy"}, mark),
                Patch("bob", "token of bob", {"status": "unhealthy"}, mark),
            ]
        )
        removed = await backend.delete(
            [Delete("ann", "token of ann", "expired", mark), Delete("bob", "token of bob", "expired", mark)]
        )

    assert patched.results == [False, True]
    assert removed.results == [False, True]


@run
async def test_the_beat_of_a_runtime_counts_for_all_its_agents(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", "r")), Put(record("bob", "other"))])
        mark = (await backend.list()).mark
        beaten = await backend.renew([Renew("r"), Renew("unknown")])
        removed = await backend.delete(
            [Delete("ann", "token of ann", "expired", mark), Delete("bob", "token of bob", "expired", mark)]
        )

    assert beaten.results == [True, True]
    assert removed.results == [False, True]


@run
async def test_after_the_news_of_a_beat_the_condition_holds_again(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", "r"))])
        await backend.renew([Renew("r", "ann", "token of ann"), Renew("r")])
        snapshot = await backend.list()
        removed = await backend.delete([Delete("ann", "token of ann", "expired", snapshot.mark)])

    assert removed.results == [True]


@run
async def test_a_beat_with_anothers_token_is_refused(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", "r"))])
        answer = await backend.renew([Renew("r", "ann", "stale"), Renew("r", "nobody", "x")])

    assert answer.results == [False, False]


@run
async def test_beats_are_news_but_no_changes(store: Store) -> None:
    async with store.opened() as backend, store.opened() as other:
        await backend.put([Put(record("ann", "r")), Put(record("bob", "r"))])
        before = await news(other)
        await backend.renew([Renew("r", "ann", "token of ann"), Renew("r")])
        heard: dict[tuple[str, str | None], float] = {}
        mark = before.mark

        async def both() -> bool:
            nonlocal mark
            changes = await news(other, 2, mark)
            mark = changes.mark
            heard.update({(beat.runtime_id, beat.agent_id): beat.age for beat in changes.beats})
            assert changes.changes == []
            return {("r", "ann"), ("r", None)} <= heard.keys()

        await until(both)
        again = await news(other, 2, mark)

    assert all(0 <= age < 60 for age in heard.values())
    assert again.beats == []


@run
async def test_a_listing_says_when_everyone_was_last_heard_of(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", "r")), Put(record("bob", "r"))])
        await backend.renew([Renew("r")])
        beats = (await backend.list()).beats

    ages = {(beat.runtime_id, beat.agent_id): beat.age for beat in beats}
    assert ages.keys() >= {("r", "ann"), ("r", "bob"), ("r", None)}
    assert all(0 <= age < 60 for age in ages.values())


@run
async def test_the_news_of_a_registration_says_how_long_ago_it_was(store: Store) -> None:
    async with store.opened() as backend, store.opened() as other:
        start = await other.list()
        await backend.put([Put(record("ann", "r"))])
        await asyncio.sleep(0.15)
        changes = await news(other, start.revision, start.mark)

    [beat] = [beat for beat in changes.beats if beat.agent_id == "ann"]
    assert 0.1 < beat.age < 60


@run
async def test_nothing_is_left_of_a_record_and_its_runtime_when_it_is_gone(store: Store) -> None:
    async with store.opened() as backend:
        await backend.put([Put(record("ann", "r"))])
        await backend.renew([Renew("r", "ann", "token of ann"), Renew("r")])
        await backend.delete([Delete("ann", "token of ann")])
        snapshot = await backend.list()

    assert snapshot.records == []
    assert [beat for beat in snapshot.beats if beat.agent_id == "ann"] == []


@run
async def test_whoever_waits_is_woken_by_a_change_of_another_connection(store: Store) -> None:
    async with store.opened() as backend, store.opened() as other:
        await backend.put([Put(record("ann"))])
        start = await other.list()
        waiting = asyncio.create_task(other.changes(start.revision, start.mark, wait=30.0))
        await asyncio.sleep(0)
        await backend.put([Put(record("bob"))])
        changes = await asyncio.wait_for(waiting, 10)

    assert changes is not None
    assert kinds(changes) == [(2, "registered", "bob")]


@run
async def test_who_waits_in_vain_is_told_so_after_a_while(store: Store) -> None:
    async with store.opened() as backend:
        start = await backend.list()
        changes = await backend.changes(start.revision, start.mark, wait=0.05)

    assert changes is not None
    assert (changes.revision, changes.changes) == (0, [])


@run
async def test_a_waiting_call_can_be_cancelled_and_the_store_goes_on(store: Store) -> None:
    async with store.opened() as backend:
        waiting = asyncio.create_task(backend.changes(0, 0, wait=30.0))
        await asyncio.sleep(0.02)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        answer = await backend.put([Put(record("ann"))])

    assert answer.results == [None]


@run
async def test_of_many_who_want_one_id_at_once_one_wins(store: Store) -> None:
    async with store.opened() as backend, store.opened() as other:
        answers = await asyncio.gather(
            *[(backend if n % 2 else other).put([Put(record("ann", f"r{n}", f"t{n}"))]) for n in range(20)]
        )
        [winner] = (await backend.list()).records

    refused = [answer.results[0] for answer in answers if answer.results[0] is not None]
    assert len(refused) == 19
    assert {holder.token for holder in refused} == {winner.token}


@run
async def test_a_big_batch_is_one_call(store: Store) -> None:
    async with store.opened() as backend:
        answer = await backend.put([Put(record(f"agent {n}", f"r{n % 7}")) for n in range(2000)])
        snapshot = await backend.list()
        gone = await backend.delete([Delete(each.agent_id, each.token) for each in snapshot.records])
        after = await backend.list()

    assert (answer.revision, answer.results) == (2000, [None] * 2000)
    assert [each.agent_id for each in snapshot.records] == [f"agent {n}" for n in range(2000)]
    assert (gone.revision, after.records) == (4000, [])


@run
async def test_a_backend_works_before_it_is_opened_and_can_be_closed_twice(store: Store) -> None:
    async with store.opened() as backend:
        await backend.close()
        answer = await backend.put([Put(record("ann"))])
        await backend.renew([Renew("runtime", "ann", "token of ann")])
        snapshot = await backend.list()
        await backend.close()

    assert answer.results == [None]
    assert [each.agent_id for each in snapshot.records] == ["ann"]


@run
async def test_hostile_texts_are_only_texts(store: Store) -> None:
    names = ["'; DROP TABLE records; --", "a\x00b", "*", "{x}", "🐈" * 50, "ann:bob", " ", "%s", "\u202eevil"]
    async with store.opened() as backend:
        await backend.put([Put(record(name, f"runtime {name}", f"token {name}", name=name)) for name in names])
        await backend.renew([Renew(f"runtime {name}") for name in names])
        snapshot = await backend.list()

    assert [each.agent_id for each in snapshot.records] == names
    assert [each.runtime_id for each in snapshot.records] == [f"runtime {name}" for name in names]
