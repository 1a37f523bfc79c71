"""The SQLite store in one process: its address, its file, its log, its beats, its waiting."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentreg.extensions.coordination import ForeignStoreError
from agentreg.extensions.coordination.backend import Delete, Patch, Put, Renew
from agentreg.extensions.coordination.errors import BackendURLError, DamagedStoreError, DirectoryUnavailableError
from agentreg.extensions.coordination.events import Change
from agentreg.extensions.coordination.processes import Process
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus, WorkState, to_wire
from agentreg.extensions.coordination.sqlite import SQLiteBackend, queries, schema
from agentreg.extensions.coordination.sqlite.database import Database
from agentreg.extensions.coordination.sqlite.filelock import FileLock
from agentreg.extensions.coordination.sqlite.rows import COLUMNS, from_row, to_row
from agentreg.extensions.coordination.sqlite.schema import APPLICATION_ID, Address, wal_is_safe

from .stores import record, run, until


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agents.db"


@asynccontextmanager
async def opened(path: Path, options: str = "", clock: Callable[[], float] = time.monotonic) -> AsyncIterator[Any]:
    backend = SQLiteBackend(f"sqlite:///{path}{options}", clock)
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(sql).fetchall()
        connection.commit()
        return rows


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("agentreg-sqlite-")}


# -- addresses ----------------------------------------------------------------


def test_three_slashes_are_relative_and_four_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert Address.of("sqlite:///sub/agents.db").path == str(tmp_path / "sub" / "agents.db")
    assert Address.of("sqlite:////var/agents.db").path == "/var/agents.db"


@run
async def test_a_relative_path_stays_where_it_was_when_the_process_moves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    backend = SQLiteBackend("sqlite:///agents.db", time.monotonic)
    monkeypatch.chdir("/")

    await backend.put([Put(record("ann"))])
    await backend.close()

    assert (tmp_path / "agents.db").exists()


def test_options_are_read() -> None:
    address = Address.of("sqlite:///a.db?timeout=0.5&history=7&flush=0.25")

    assert (address.timeout, address.history, address.flush) == (0.5, 7, 0.25)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("sqlite://agents.db", "three slashes"),
        ("sqlite://", "three slashes"),
        ("sqlite:///", "path of a file"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:///folder/", "no path"),
        ("sqlite:///a\0b", "no path"),
        ("sqlite:///a.db?timeout=soon", "timeout: expected a number of seconds above 0, got 'soon'"),
        ("sqlite:///a.db?timeout=0", "timeout"),
        ("sqlite:///a.db?timeout=nan", "timeout"),
        ("sqlite:///a.db?timeout=inf", "timeout"),
        ("sqlite:///a.db?history=0", "history: expected a whole number from 1 up, got '0'"),
        ("sqlite:///a.db?history=1.5", "history"),
        ("sqlite:///a.db?flush=-1", "flush"),
        ("sqlite:///a.db?timeout=1&timeout=2", "'timeout' is there twice"),
        ("sqlite:///a.db?mode=ro", "'mode' is no option; there are timeout, history, flush"),
        ("sqlite:///a.db?what", "name=value"),
    ],
)
def test_a_bad_address_is_refused_with_what_was_expected(url: str, what: str) -> None:
    with pytest.raises(BackendURLError) as caught:
        SQLiteBackend(url, time.monotonic)

    assert what in str(caught.value)
    assert "sqlite:////absolute/path.db" in str(caught.value)


@run
async def test_missing_folders_are_made(tmp_path: Path) -> None:
    async with opened(tmp_path / "one" / "two" / "agents.db"):
        pass

    assert (tmp_path / "one" / "two" / "agents.db").exists()


# -- the file -----------------------------------------------------------------


@run
async def test_the_file_says_whose_it_is_and_others_can_read_it_while_it_is_in_use(path: Path) -> None:
    full = record("ann", "r", capabilities=["one"], name="Ann", version="2", metadata={"team": "blue"})
    full.process = Process("far", 7, 8, "boot/ns", "/work")
    async with opened(path) as backend:
        await backend.put([Put(full), Put(record("bob", "r"))])
        await backend.renew([Renew("r")])
        await backend.patch([Patch("bob", "token of bob", {"status": "degraded", "work_state": "idle"})])

        await backend.list()

        columns = "agent_id, name, runtime_id, host, pid, cwd, version, capabilities, status, health, metadata"
        assert ask(path, f"SELECT {columns} FROM agents ORDER BY agent_id") == [
            ("ann", "Ann", "r", "far", 7, "/work", "2", '["one"]', "active", "active", '{"team":"blue"}'),
            ("bob", "bob", "r", None, None, None, None, "[]", "idle", "degraded", "{}"),
        ]
        [(registered, heartbeat)] = ask(path, "SELECT registered_at, last_heartbeat FROM agents WHERE agent_id = 'ann'")
        assert registered == "2023-11-14T22:13:20.000Z"
        assert abs(datetime.fromisoformat(heartbeat[:-1] + "+00:00").timestamp() - time.time()) < 3600
        assert ask(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
        assert ask(path, "PRAGMA user_version") == [(1,)]


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 50, 12), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
        ((4, 0, 0), True),
    ],
)
def test_a_write_ahead_log_is_used_only_by_libraries_with_the_fix(version: tuple[int, ...], safe: bool) -> None:
    assert wal_is_safe(version) is safe


@pytest.fixture(params=[True, False], ids=["with a write-ahead log", "with a rollback journal"])
def journal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both kinds, whichever the library would choose; one process at a time writes, so that either is safe."""
    monkeypatch.setattr(schema, "wal_is_safe", lambda version: request.param)
    return "wal" if request.param else "truncate"


@pytest.fixture
def _rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback journal, where what is written is in the file at once, and keeps readers out."""
    monkeypatch.setattr(schema, "wal_is_safe", lambda version: False)


@run
async def test_either_journal_serves(path: Path, journal: str) -> None:
    async with opened(path) as backend, opened(path) as other:
        await backend.put([Put(record("ann"))])
        waiting = asyncio.ensure_future(other.changes(1, 0, 10.0))
        await asyncio.sleep(0)
        await backend.put([Put(record("bob"))])
        changes = await waiting
        mode = ask(path, "PRAGMA journal_mode")

    assert [change.agent_id for change in changes.changes] == ["bob"]
    assert mode == [("wal",)] if journal == "wal" else mode != [("wal",)]


@run
async def test_what_a_library_without_the_fix_has_used_gets_no_write_ahead_log_any_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for safe, expected in ((True, True), (False, False), (True, False)):
        monkeypatch.setattr(schema, "wal_is_safe", lambda version, safe=safe: safe)
        async with opened(path):
            assert (ask(path, "PRAGMA journal_mode") == [("wal",)]) is expected


def refusal(path: Path) -> ForeignStoreError:
    before = path.read_bytes()
    with pytest.raises(ForeignStoreError) as caught:
        asyncio.run(SQLiteBackend(f"sqlite:///{path}", time.monotonic).open())
    assert path.read_bytes() == before
    return caught.value


def test_another_programs_database_is_refused_untouched(path: Path) -> None:
    ask(path, "CREATE TABLE customers (name)")

    assert "some other program's database; choose another file" in str(refusal(path))


def test_a_store_of_a_later_version_is_refused_untouched(path: Path) -> None:
    asyncio.run(_used(path))
    ask(path, "PRAGMA user_version = 99")

    error = refusal(path)

    assert "its layout is version 99, and this agentreg knows none above 1; upgrade agentreg" in str(error)
    assert isinstance(error, ValueError)


async def _used(path: Path, count: int = 50) -> None:
    async with opened(path) as backend:
        await backend.put([Put(record(f"agent {number}")) for number in range(count)])


@run
async def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()

    async with opened(path) as backend:
        assert (await backend.list()).revision == 0


def _not_a_database(path: Path) -> None:
    path.write_bytes(b"This is no database." * 500)


def _garbled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 6] = b"\xa5" * 4096 * 4
    path.write_bytes(content)


def _cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 // 4096 * 4096])


def _without_a_table(path: Path) -> None:
    ask(path, "DROP TABLE log")


def _without_its_own_notes(path: Path) -> None:
    ask(path, "DELETE FROM meta")


@pytest.mark.parametrize("damage", [_not_a_database, _garbled, _cut_short, _without_a_table, _without_its_own_notes])
def test_a_damaged_file_is_set_aside_whole_and_the_next_opening_begins_anew(
    path: Path, damage: Callable[[Path], None]
) -> None:
    asyncio.run(_used(path))
    damage(path)
    content = path.read_bytes()

    with pytest.raises(DamagedStoreError) as caught:
        asyncio.run(SQLiteBackend(f"sqlite:///{path}", time.monotonic).open())

    aside = Path(caught.value.aside)
    assert aside.name.startswith("agents.db.damaged-2")
    assert aside.read_bytes() == content
    assert not path.exists()
    asyncio.run(_used(path))
    assert ask(path, "SELECT count(*) FROM records") == [(50,)]


def test_a_second_damaged_file_does_not_replace_the_first(path: Path) -> None:
    contents = set()
    for number in range(3):
        path.write_bytes(b"no database %d" % number * 100)
        contents.add(path.read_bytes())
        with pytest.raises(DamagedStoreError):
            asyncio.run(SQLiteBackend(f"sqlite:///{path}", time.monotonic).open())

    assert {each.read_bytes() for each in path.parent.glob("*.damaged-*")} == contents


@pytest.mark.usefixtures("_rollback")
@run
async def test_damage_that_shows_up_later_sets_the_file_aside_and_everyone_moves_on(path: Path) -> None:
    async with opened(path) as backend, opened(path) as other:
        await backend.put([Put(record(f"agent {number}")) for number in range(500)])
        before = await other.list()
        with path.open("r+b") as file:
            file.seek(24)  # where SQLite looks whether it has changed
            file.write(b"\xa5" * (path.stat().st_size - 24))
        with pytest.raises(DamagedStoreError):
            await backend.put([Put(record("ann"))])

        answer = await backend.put([Put(record("ann"))])

        assert answer.revision == 1
        assert await other.changes(before.revision, before.mark) is None
        assert [each.agent_id for each in (await other.list()).records] == ["ann"]


@run
async def test_a_store_that_another_took_the_place_of_asks_for_a_new_listing(path: Path, tmp_path: Path) -> None:
    await _used(path, 10)
    await _used(tmp_path / "backup.db", 20)
    async with opened(path) as backend:
        at = await backend.list()
        os.replace(tmp_path / "backup.db", path)

        assert await backend.changes(at.revision, at.mark) is None
        assert (await backend.list()).revision == 20
        assert await backend.changes(10, 0) is not None


@run
async def test_a_file_that_was_deleted_is_begun_anew(path: Path) -> None:
    async with opened(path) as backend:
        await backend.put([Put(record("ann"))])
        for each in list(path.parent.iterdir()):
            each.unlink()

        assert (await backend.put([Put(record("bob"))])).revision == 1
        assert await backend.changes(1, 0) is None  # not the store that this revision came from


@run
async def test_a_path_that_cannot_be_is_said_with_its_reason_and_works_once_it_can(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "agents.db"
    backend = SQLiteBackend(f"sqlite:///{path}", time.monotonic)
    with pytest.raises(DirectoryUnavailableError, match="file") as caught:
        await backend.put([Put(record("ann"))])
    assert caught.value.url == backend.url

    (tmp_path / "file").unlink()

    assert (await backend.put([Put(record("ann"))])).results == [None]
    await backend.close()


@run
async def test_a_folder_in_the_files_place_is_said(tmp_path: Path) -> None:
    backend = SQLiteBackend(f"sqlite:///{tmp_path}", time.monotonic)

    with pytest.raises(DirectoryUnavailableError, match="unable to open"):
        await backend.open()


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="root may write everywhere")
@run
async def test_a_folder_that_may_not_be_written_to_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    backend = SQLiteBackend(f"sqlite:///{tmp_path}/agents.db", time.monotonic)
    try:
        with pytest.raises(DirectoryUnavailableError, match="denied"):
            await backend.open()
    finally:
        tmp_path.chmod(0o700)


# -- rows ---------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=()), max_size=20)  # surrogates and all
numbers = st.integers(-(10**25), 10**25) | st.floats(allow_nan=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
wires = st.fixed_dictionaries(
    {
        "agent_id": texts,
        "runtime_id": texts,
        "token": texts,
        "capabilities": st.lists(texts, max_size=3),
        "status": st.sampled_from([status.value for status in AgentStatus]),
        "registered": numbers,
        "revision": st.integers(0, 2**62),
    },
    optional={
        **dict.fromkeys(("name", "host", "boot_id", "cwd", "version", "file_path", "endpoint"), texts | plain),
        **dict.fromkeys(("pid", "process_start", "created", "worked", "budget_limit_usd"), numbers | plain),
        **dict.fromkeys(("config", "resources", "performance", "relationships", "metadata", "a2a_card"), plain),
        "work_state": st.sampled_from([state.value for state in WorkState]),
        "lapsed_from": st.none() | st.sampled_from([status.value for status in AgentStatus]),
        "something later": plain,
    },
)


def exact(value: Any) -> Any:
    """Equal only for what is of the same types, too."""
    if isinstance(value, dict):
        return {name: exact(each) for name, each in value.items()}
    return [exact(each) for each in value] if isinstance(value, list) else (type(value), value)


@run
async def test_tables_of_metrics_and_alerts_may_be_in_the_file_before_the_records(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "agents.db")) as connection:
        connection.execute("CREATE TABLE metrics_raw (id INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB)")
        connection.execute("CREATE INDEX metrics_raw_data ON metrics_raw (data)")
        connection.execute("CREATE TABLE alerts_meta (key TEXT PRIMARY KEY)")
        connection.commit()
    backend = SQLiteBackend(f"sqlite:///{tmp_path}/agents.db", time.monotonic)
    await backend.put([Put(record("ann"))])

    assert [each.agent_id for each in (await backend.list()).records] == ["ann"]
    await backend.close()


@given(wires)
def test_a_row_gives_back_exactly_what_it_was_made_of(wire: dict[str, Any]) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE records ({columns})")
        row = (1, wire["revision"], *to_row(wire), 0.0)
        connection.execute(f"INSERT INTO records VALUES ({', '.join('?' * len(row))})", row)
        [row] = connection.execute("SELECT * FROM records").fetchall()

    assert exact(from_row(row)) == exact(wire)


@given(wires)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_record_with_any_texts_can_be_kept_found_and_removed(tmp_path: Path, wire: dict[str, Any]) -> None:
    names = ("agent_id", "runtime_id", "token")
    agent_id, runtime_id, token = (wire[name] for name in names)
    each = AgentMetadata(agent_id, runtime_id, token, wire["capabilities"], registered=1.5)
    each.metadata = {"plain": wire.get("metadata")}

    async def keep() -> tuple[Any, ...]:
        backend = SQLiteBackend(f"sqlite:///{tmp_path}/any.db", time.monotonic)
        await backend.put([Put(each)])
        at = await backend.list()
        changes = await backend.changes(at.revision - 1, 0)
        assert changes is not None
        renewed = await backend.renew([Renew(each.runtime_id, each.agent_id, each.token)])
        removed = await backend.delete([Delete(each.agent_id, each.token, wire["token"])])
        await backend.close()
        return at.records, changes.changes[-1].record, renewed.results, removed.results

    [listed], told, renewed, removed = asyncio.run(keep())

    expected = {**to_wire(each), "revision": listed.revision}
    assert exact(to_wire(listed)) == exact(to_wire(told)) == exact(expected)
    assert renewed == removed == [True]


@run
async def test_what_is_not_plain_json_is_refused_and_harms_no_other_call(path: Path) -> None:
    odd = record("odd", metadata={"object": object()})
    async with opened(path) as backend:
        calls = [backend.put([Put(odd)]), backend.put([Put(record("ann"))])]
        refused, taken = await asyncio.gather(*calls, return_exceptions=True)
        unknown = backend.patch([Patch("ann", "token of ann", {"status": "tired"})])
        with pytest.raises(ValueError, match="tired"):
            await unknown
        records = (await backend.list()).records

    assert isinstance(refused, TypeError)
    assert "is plain JSON" in str(refused)
    assert not isinstance(taken, BaseException)
    assert taken.results == [None]
    assert [each.status for each in records] == [AgentStatus.ACTIVE]


@run
async def test_a_record_that_somebody_else_has_spoilt_is_left_out_and_spoils_no_other(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(path) as backend:
        await backend.put([Put(record(name, metadata={"a": 1})) for name in ("ann", "bad", "bob")])
        ask(path, "UPDATE records SET metadata = '{broken' WHERE agent_id = 'bad'")

        names = ("ann", "bad", "bob")
        calls = [backend.patch([Patch(name, f"token of {name}", {"version": "2"})]) for name in names]
        ann, bad, bob = await asyncio.gather(*calls, return_exceptions=True)
        records = (await backend.list()).records

        assert isinstance(bad, ValueError)
        assert [each.results for each in (ann, bob) if not isinstance(each, BaseException)] == [[True], [True]]
        assert [(each.agent_id, each.version) for each in records] == [("ann", "2"), ("bob", "2")]
        assert "the record of agent 'bad' can't be read, and is left out" in caplog.text
        assert (await backend.delete([Delete("bad", "token of bad")])).results == [True]


@run
async def test_a_log_that_somebody_else_has_spoilt_asks_for_a_new_listing(path: Path) -> None:
    async with opened(path) as backend:
        await backend.put([Put(record("ann"))])
        ask(path, "UPDATE log SET detail = '{broken'")

        assert await backend.changes(0, 0) is None
        assert (await backend.list()).revision == 1


# -- the log ------------------------------------------------------------------


@run
async def test_a_log_that_was_cut_off_asks_for_a_new_listing(path: Path) -> None:
    async with opened(path, "?history=10") as backend:
        for number in range(30):
            await backend.put([Put(record(f"agent {number}"))])

        assert await backend.changes(0, 0) is None
        kept = await backend.changes(20, 0)
        assert [change.revision for change in kept.changes] == list(range(21, 31))
    [(count,)] = ask(path, "SELECT count(*) FROM log")
    assert 10 <= count <= 11


@run
async def test_many_changes_come_in_several_answers_without_a_gap(path: Path) -> None:
    await _used(path, 4500)
    seen: list[int] = []
    async with opened(path) as backend:
        while not seen or seen[-1] < 4500:
            changes = await backend.changes(len(seen), 0)
            seen += [change.revision for change in changes.changes]
            assert changes.revision == seen[-1]

    assert seen == list(range(1, 4501))


@run
async def test_a_listing_read_in_parts_beside_changes_is_of_one_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PART", 7)
    chance = random.Random(11)
    there: dict[str, str] = {}

    async def churn(backend: SQLiteBackend, until: asyncio.Event) -> None:
        number = 0
        while not until.is_set():
            number += 1
            name = f"agent {chance.randrange(60)}"
            if name not in there:
                there[name] = f"token {number}"
                await backend.put([Put(record(name, token=there[name]))])
            elif chance.random() < 0.5:
                await backend.delete([Delete(name, there.pop(name))])
            else:
                await backend.patch([Patch(name, there[name], {"version": str(number)})])

    async with opened(path) as backend, opened(path) as other:
        done = asyncio.Event()
        churning = asyncio.ensure_future(churn(other, done))
        snapshots = [await backend.list()]
        while len(snapshots) < 25 or snapshots[-1].revision < 100:
            snapshots.append(await backend.list())
        done.set()
        await churning
        log = (await backend.changes(0, 0)).changes

    assert snapshots[-1].revision > snapshots[0].revision
    for snapshot in snapshots:
        listed = [(each.agent_id, each.token, each.revision, each.version) for each in snapshot.records]
        assert listed == replayed(log, snapshot.revision)


def replayed(log: list[Change], revision: int) -> list[tuple[Any, ...]]:
    there: dict[str, tuple[Any, ...]] = {}
    for change in log[:revision]:
        if change.kind == "deregistered":
            del there[change.agent_id]
        else:
            version = (change.fields or {}).get("version")
            there[change.agent_id] = (change.agent_id, change.token, change.revision, version)
    return list(there.values())


# -- beats --------------------------------------------------------------------


@run
async def test_beats_are_written_together_and_not_at_once(path: Path) -> None:
    async with opened(path, "?flush=1000") as backend:
        await backend.put([Put(record("ann", "r"))])
        for _ in range(100):
            await backend.renew([Renew("r"), Renew("r", "ann", "token of ann")])
        waiting = ask(path, "SELECT count(*) FROM beats")
    written = ask(path, "SELECT count(*), max(number) FROM beats")

    assert waiting == [(0,)]
    assert written == [(2, 2)]  # by close, the last of each


@run
async def test_without_an_open_store_a_beat_is_written_before_the_answer(path: Path) -> None:
    backend = SQLiteBackend(f"sqlite:///{path}?flush=1000", time.monotonic)
    await backend.put([Put(record("ann", "r"))])
    await backend.renew([Renew("r")])

    assert ask(path, "SELECT runtime_id, agent_id FROM beats") == [("r", None)]
    await backend.close()


@run
async def test_more_beats_than_fit_into_one_transaction_are_all_written(path: Path) -> None:
    count = 5_500
    async with opened(path, "?flush=0.001") as backend, opened(path) as other:
        await backend.put([Put(record(f"agent {number}", "r")) for number in range(count)])
        at = await other.list()
        beats = [Renew("r", f"agent {number}", f"token of agent {number}") for number in range(count)]

        answer = await backend.renew([*beats, Renew("r", "nobody", "token")])

        heard: set[str | None] = set()
        mark = at.mark
        while len(heard) < count:
            changes = await other.changes(at.revision, mark, 10.0)
            heard |= {beat.agent_id for beat in changes.beats}
            mark = changes.mark
    assert answer.results == [True] * count + [False]


@run
async def test_beats_reach_other_processes_by_themselves(path: Path) -> None:
    async with opened(path, "?flush=0.05") as backend, opened(path) as other:
        await backend.put([Put(record("ann", "r"))])
        at = await other.list()
        await backend.renew([Renew("r")])

        changes = await other.changes(at.revision, at.mark, 10.0)

    assert [(beat.runtime_id, beat.agent_id) for beat in changes.beats] == [("r", None)]


@run
async def test_a_beat_that_waits_keeps_this_process_removals_off(path: Path) -> None:
    async with opened(path, "?flush=1000") as backend:
        await backend.put([Put(record("ann", "r"))])
        mark = (await backend.list()).mark
        await backend.renew([Renew("r")])

        late = await backend.delete([Delete("ann", "token of ann", "expired", mark)])

    assert late.results == [False]


@run
async def test_ages_are_told_on_the_stores_clock_and_never_negative(path: Path) -> None:
    clock, behind = Clock(), Clock()
    behind.now -= 500
    async with opened(path, clock=clock) as backend, opened(path, clock=behind) as other:
        await backend.put([Put(record("ann", "r"))])
        clock.now += 10
        await backend.renew([Renew("r")])
        clock.now += 7
        ages = {beat.agent_id: beat.age for beat in (await backend.list()).beats}
        others = {beat.agent_id: beat.age for beat in (await other.list()).beats}

    assert ages == {"ann": 17.0, None: 7.0}
    assert others == {"ann": 0.0, None: 0.0}


@run
async def test_after_a_restart_of_the_machine_everyone_counts_as_just_heard(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    async with opened(path, clock=clock) as backend:
        await backend.put([Put(record("ann", "r"))])
        await backend.renew([Renew("r")])
    monkeypatch.setattr(schema, "boot", lambda: "another-boot/pid:[1]")
    clock.now = 5000.0  # it might have begun anew, or run on

    async with opened(path, clock=clock) as backend:
        clock.now += 3
        ages = {beat.agent_id: beat.age for beat in (await backend.list()).beats}

    assert ages == {"ann": 3.0, None: 3.0}


@run
async def test_another_container_of_the_same_machine_is_no_restart(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(schema, "boot", lambda: "boot/pid:[1]")
    async with opened(path, clock=clock) as backend:
        await backend.put([Put(record("ann", "r"))])
    clock.now += 5
    monkeypatch.setattr(schema, "boot", lambda: "boot/pid:[2]")

    async with opened(path, clock=clock) as backend:
        assert [beat.age for beat in (await backend.list()).beats] == [5.0]


# -- waiting ------------------------------------------------------------------


@pytest.fixture
def held(path: Path) -> Iterator[FileLock]:
    """The lock, held by somebody."""
    lock = FileLock(f"{path}-lock")
    lock.acquire()
    yield lock
    lock.close()


@pytest.mark.skipif(os.name == "nt", reason="no flock")
@run
async def test_what_has_timed_out_before_its_turn_is_not_done_later(path: Path, held: FileLock) -> None:
    backend = SQLiteBackend(f"sqlite:///{path}?timeout=0.05", time.monotonic)
    with pytest.raises(DirectoryUnavailableError, match=f"process {os.getpid()} holds {path}-lock"):
        await backend.put([Put(record("ann"))])

    held.release()

    patient = SQLiteBackend(f"sqlite:///{path}", time.monotonic)
    assert (await patient.put([Put(record("bob"))])).revision == 1
    await backend.close()
    await patient.close()


@pytest.mark.skipif(os.name == "nt", reason="no flock")
@pytest.mark.usefixtures("_rollback")
@run
async def test_all_that_waits_for_a_turn_is_committed_together(path: Path) -> None:
    async with opened(path) as backend:
        lock = FileLock(f"{path}-lock")
        lock.acquire()
        waiting = [asyncio.ensure_future(backend.put([Put(record(f"agent {n}"))])) for n in range(100)]
        await asyncio.sleep(0)
        [(before,)] = ask(path, "PRAGMA data_version")
        writes = _header_counter(path)
        lock.close()
        answers = await asyncio.gather(*waiting)
        written = _header_counter(path) - writes

    assert before
    assert [answer.revision for answer in answers] == list(range(1, 101))
    assert written == 1


def _header_counter(path: Path) -> int:
    # SQLite counts the transactions in the file's header
    return int.from_bytes(path.read_bytes()[24:28], "big")


@pytest.mark.usefixtures("_rollback")
@run
async def test_another_program_that_writes_for_long_is_named_and_never_called_locked(path: Path) -> None:
    async with opened(path, "?timeout=0.2") as backend:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            calls = [backend.put([Put(record("ann"))]), backend.list(), backend.renew([Renew("r")])]
            errors = await asyncio.gather(*calls, return_exceptions=True)
            connection.execute("ROLLBACK")

        answer = await backend.put([Put(record("ann"))])

    assert all(isinstance(error, DirectoryUnavailableError) for error in errors), errors
    assert "locked" not in " ".join(map(str, errors))
    assert answer.revision == 1


@run
async def test_who_stops_waiting_takes_nothing_with_him(path: Path) -> None:
    async with opened(path) as backend:
        at = await backend.list()
        waiting = [asyncio.ensure_future(backend.changes(at.revision, at.mark, 60.0)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in waiting[:4]:
            task.cancel()
        await backend.put([Put(record("ann"))])

        changes = await waiting[4]

        assert all(task.cancelled() for task in waiting[:4])
    assert [change.agent_id for change in changes.changes] == ["ann"]


@run
async def test_waiting_works_without_opening_and_after_closing(path: Path) -> None:
    backend = SQLiteBackend(f"sqlite:///{path}", time.monotonic)
    for number in range(5):
        waiting = asyncio.ensure_future(backend.changes(number, 0, 30.0))
        await backend.renew(())
        await backend.put([Put(record(f"agent {number}"))])

        changes = await waiting

        assert changes is not None
        assert changes.revision == number + 1
        await backend.close()


@run
async def test_news_after_a_new_connection_is_not_taken_for_that_of_the_old_one(path: Path) -> None:
    # each connection counts the versions of the file by itself, and from the same number
    database = Database(Address.of(f"sqlite:///{path}"), time.monotonic)
    versions = []
    async with opened(path) as backend:
        for number in range(5):
            with database.transaction(write=False):
                pass
            for name in ("a", "b"):
                versions.append(database.version())
                await backend.put([Put(record(f"{name} {number}"))])
            versions.append(database.version())
            database.close()

    assert None not in versions
    assert len(set(versions)) == len(versions)


@run
async def test_closing_ends_the_threads_even_while_somebody_waits(path: Path) -> None:
    before = threads()
    async with opened(path) as backend:
        waiting = asyncio.ensure_future(backend.changes(0, 0, 60.0))
        await backend.list()
        started = threads() - before

    assert len(started) == 2
    assert not any(thread.is_alive() for thread in started)
    changes = await waiting
    assert changes.changes == []


@run
async def test_a_store_that_was_never_opened_leaves_no_thread_behind(path: Path) -> None:
    before = threads()
    backend = SQLiteBackend(f"sqlite:///{path}", time.monotonic)
    await backend.put([Put(record("ann"))])
    await backend.list()
    started = threads() - before
    assert all(thread.daemon for thread in started)
    del backend

    await until(lambda: not any(thread.is_alive() for thread in started))
    gc.collect()  # a connection that nobody closed would say so


@pytest.mark.skipif(os.name == "nt", reason="no flock")
@run
async def test_closing_does_not_wait_for_a_lock_that_is_never_freed(path: Path) -> None:
    before = threads()
    async with opened(path, "?timeout=0.5") as backend:
        await backend.put([Put(record("ann", "r"))])
        started = threads() - before
        lock = FileLock(f"{path}-lock")
        lock.acquire()
        with pytest.raises(DirectoryUnavailableError):
            await backend.put([Put(record("bob"))])

        await backend.close()

        lock.close()
    await until(lambda: not any(thread.is_alive() for thread in started))


def test_two_event_loops_in_two_threads_can_use_one_store(path: Path) -> None:
    backend = SQLiteBackend(f"sqlite:///{path}", time.monotonic)
    done: list[int] = []

    async def use(name: str) -> None:
        for number in range(30):
            await backend.put([Put(record(f"{name} {number}", name))])
        done.append(len((await backend.list()).records))

    loops = [threading.Thread(target=lambda name=name: asyncio.run(use(name))) for name in ("one", "two")]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    asyncio.run(backend.close())

    assert max(done) == 60
    assert min(done) >= 30


@run
async def test_several_stores_of_one_process_can_share_a_file(path: Path) -> None:
    async with opened(path) as one, opened(path) as two:
        await asyncio.gather(*[(one, two)[n % 2].put([Put(record(f"agent {n}"))]) for n in range(100)])
        revisions = {(await each.list()).revision for each in (one, two)}

    assert revisions == {100}
