"""A store in a file: many processes, sudden ends, damage, and files that are something else."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from agentreg.extensions.definitions.errors import DamagedStoreError, StoreFormatError, StoreUnavailableError
from agentreg.extensions.definitions.storing.sqlite_file import SQLiteFile
from agentreg.extensions.definitions.storing.sqlite_store import SQLiteBackend
from agentreg.extensions.definitions.storing.store import DefinitionStore
from tests.extensions.definitions.stores import Clock, markdown
from tests.watchdog import PACKAGE_HOME, run_threads

WRITER = """
import json, sys
from agentreg.extensions.definitions.storing.store import DefinitionStore
from agentreg.extensions.definitions.errors import DefinitionExistsError, VersionConflictError

path, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
text = "---\\nname: {}\\ndescription: By {}\\n---\\n\\n{}\\n"
store = DefinitionStore(path)
print("ready", flush=True)
sys.stdin.readline()
number = 0
while number != count:
    shared = store.get("shared")
    try:
        if shared is None:
            stored = store.create(text.format("shared", who, number))
        else:
            stored = store.update("shared", text.format("shared", who, number), replaces=shared.version)
    except (DefinitionExistsError, VersionConflictError):
        continue
    print(json.dumps([stored.version, stored.digest]), flush=True)
    number += 1
"""


def writer(path: Path, who: str, count: int) -> subprocess.Popen[str]:
    """A process that makes *count* versions of one definition, and reports each; -1 never ends."""
    command = [sys.executable, "-c", WRITER, str(path), who, str(count)]
    environment = {**os.environ, "PYTHONPATH": PACKAGE_HOME}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()
    return process


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "definitions.db"


def set_aside(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if ".damaged-" in each.name)


# -- many at once -----------------------------------------------------------


def test_several_processes_write_at_once_and_none_is_told_that_the_file_is_locked(path: Path) -> None:
    processes = [writer(path, f"writer {number}", 15) for number in range(4)]
    for process in processes:
        let_go(process)

    acknowledged = []
    for process in processes:
        output, errors = process.communicate(timeout=100)
        assert (process.returncode, errors) == (0, "")
        acknowledged += [json.loads(line) for line in output.splitlines()]

    with DefinitionStore(path) as store:
        history = [[stored.version, stored.digest] for stored in store.history("shared")]
    assert sorted(acknowledged) == history
    assert len(history) == 60


def test_threads_that_share_a_store_take_turns(path: Path) -> None:
    with DefinitionStore(path) as store:
        run_threads(*[lambda number=number: store.create(markdown(f"agent-{number}")) for number in range(8)])

        assert len(store.query()) == 8


def test_stores_that_open_one_new_file_at_once_all_succeed(path: Path) -> None:
    def create(number: int) -> None:
        with DefinitionStore(path) as store:
            store.create(markdown(f"agent-{number}"))

    run_threads(*[lambda number=number: create(number) for number in range(8)])

    with DefinitionStore(path) as store:
        assert len(store.query()) == 8


def test_who_finds_the_file_locked_for_good_is_told_so_in_words(path: Path, clock: Clock) -> None:
    DefinitionStore(path).create(markdown())
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    store = DefinitionStore(SQLiteBackend(path, clock, patience=0.0))
    with pytest.raises(StoreUnavailableError, match="another program has kept it locked for 0 s: find and end that"):
        store.create(markdown("guide"))
    assert store.require("scout").version == 1  # a reader does not wait for a writer

    holder.close()
    assert store.create(markdown("guide")).version == 1
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_and_its_parent_use_the_same_store(path: Path) -> None:
    store = DefinitionStore(path)
    store.create(markdown())

    child = os.fork()
    if child == 0:
        try:
            store.update("scout", markdown(body="By the child."), replaces=1)
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0

    assert store.update("scout", markdown(body="By the parent."), replaces=2).version == 3
    assert store.require("scout", 2).definition.body == "By the child."
    store.close()


# -- sudden ends ------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_writer_that_is_killed_loses_nothing_that_was_acknowledged(path: Path) -> None:
    acknowledged: list[list[object]] = []
    for round_number in range(10):
        process = writer(path, f"round {round_number}", -1)
        assert process.stdout is not None
        let_go(process)
        acknowledged += [json.loads(process.stdout.readline()) for _ in range(3 + round_number)]
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=60)
        acknowledged += [json.loads(line) for line in rest.splitlines() if line.endswith("]")]

        with DefinitionStore(path) as store:
            history = [[stored.version, stored.digest] for stored in store.history("shared")]
            assert history[: len(acknowledged)] == acknowledged[: len(history)]
            assert len(history) - len(acknowledged) in (0, 1)  # one may have been written, and not yet reported
            acknowledged = history
    assert set_aside(path.parent) == []


def test_a_version_in_the_file_never_changes(path: Path) -> None:
    with DefinitionStore(path) as store:
        store.create(markdown())

    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="a version never changes"):
        connection.execute("UPDATE versions SET content = 'forged'")
    connection.close()


# -- damage -----------------------------------------------------------------


def cut_in_half(data: bytes) -> bytes:
    return data[: len(data) // 2 + 100]


def overwritten_header(data: bytes) -> bytes:
    return b"This is no database at all......" + data[32:]


def overwritten_middle(data: bytes) -> bytes:
    return data[:4096] + b"\xa5" * 8192 + data[12288:]


def prose(data: bytes) -> bytes:
    return b"Dear diary, " * 500


@pytest.mark.parametrize("damage", [cut_in_half, overwritten_header, overwritten_middle, prose])
def test_a_damaged_file_is_set_aside_and_never_overwritten(
    path: Path, clock: Clock, damage: Callable[[bytes], bytes]
) -> None:
    with DefinitionStore(path) as store:
        for number in range(30):
            store.create(markdown(f"agent-{number}", body="x" * 1000))
    path.write_bytes(damage(path.read_bytes()))
    damaged = path.read_bytes()
    store = DefinitionStore(path, clock=clock)

    with pytest.raises(DamagedStoreError, match=r"was set aside as .*; put a backup in its place, or begin") as caught:
        store.query()

    assert caught.value.moved_to == f"{path}.damaged-20240814T120000.000000Z"
    assert Path(caught.value.moved_to).read_bytes() == damaged
    assert store.query() == []
    assert store.create(markdown()).version == 1
    store.close()


def test_a_second_damaged_file_does_not_take_the_place_of_the_first(path: Path, clock: Clock) -> None:
    store = DefinitionStore(path, clock=clock)
    for content in (b"first" * 1000, b"second" * 1000):
        store.close()
        path.write_bytes(content)
        with pytest.raises(DamagedStoreError):
            store.query()

    one, other = set_aside(path.parent)
    assert (path.parent / one).read_bytes() == b"first" * 1000
    assert (path.parent / other).read_bytes() == b"second" * 1000


def test_damage_that_is_met_later_is_noticed_too(path: Path, clock: Clock) -> None:
    store = DefinitionStore(path, clock=clock)
    for number in range(30):
        store.create(markdown(f"agent-{number}", body="x" * 2000))
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))

    def read_all() -> None:
        for _ in range(3):
            store.query()
            store.close()  # forgets the pages that it has read

    with pytest.raises(DamagedStoreError):
        read_all()

    assert len(set_aside(path.parent)) >= 1
    assert store.query() == []
    store.close()


def test_of_many_who_find_the_damage_one_sets_the_file_aside(path: Path, clock: Clock) -> None:
    path.write_bytes(b"no database" * 1000)

    def open_it() -> str:
        store = DefinitionStore(path, clock=clock)
        while True:
            try:
                store.put(markdown())
                store.close()
                return "open"
            except DamagedStoreError:
                continue

    assert run_threads(*[open_it] * 4) == ["open"] * 4
    assert len(set_aside(path.parent)) == 1
    with DefinitionStore(path) as store:
        assert store.require("scout").version == 1


def test_a_file_that_somebody_has_mended_meanwhile_is_left_where_it_is(path: Path, clock: Clock) -> None:
    DefinitionStore(path).create(markdown())

    def meet_damage_that_is_gone() -> None:
        with SQLiteFile(str(path), clock, 1.0).explained():
            raise sqlite3.DatabaseError("file is not a database")

    with pytest.raises(DamagedStoreError, match="is mended; try again"):
        meet_damage_that_is_gone()

    assert set_aside(path.parent) == []
    with DefinitionStore(path) as store:
        assert store.require("scout").version == 1


def test_a_file_that_was_taken_away_is_made_anew(path: Path) -> None:
    store = DefinitionStore(path)
    store.create(markdown())
    for part in path.parent.iterdir():
        part.unlink()

    assert store.create(markdown()).version == 1
    assert path.exists()
    store.close()


def test_a_file_that_takes_the_place_of_another_is_the_one_that_is_read(path: Path, tmp_path: Path) -> None:
    with DefinitionStore(tmp_path / "other.db") as other:
        other.create(markdown("guide"))
    store = DefinitionStore(path)
    store.create(markdown())
    assert [definition.name for definition in store.load().definitions] == ["scout"]

    for part in path.parent.glob("definitions.db-*"):
        part.unlink()
    os.replace(tmp_path / "other.db", path)

    assert [definition.name for definition in store.load().definitions] == ["guide"]
    store.close()


# -- what is no store -------------------------------------------------------


def test_a_file_of_a_later_version_is_left_alone(path: Path) -> None:
    DefinitionStore(path).create(markdown())
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreFormatError, match=r"its schema version is 99, later than 1.*upgrade agentreg"):
        DefinitionStore(path).query()

    assert path.read_bytes() == before


def test_somebody_elses_database_is_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE invoices (id)")
    connection.commit()
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StoreFormatError, match=r"holds something else \(tables: invoices\); name another file"):
        DefinitionStore(path).create(markdown())

    assert path.read_bytes() == before
    assert set_aside(path.parent) == []


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=re.escape(f"make the folder {tmp_path / 'none'} first")):
        DefinitionStore(tmp_path / "none" / "definitions.db").query()


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="unable to open database file"):
        DefinitionStore(tmp_path).query()


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()

    with DefinitionStore(path) as store:
        assert store.create(markdown()).version == 1


@pytest.mark.parametrize("form", ["sqlite:///{name}", "{name}"])
def test_a_url_without_a_root_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.chdir(tmp_path)

    with DefinitionStore(form.format(name="here.db")) as store:
        store.create(markdown())

    assert (tmp_path / "here.db").exists()


def test_a_url_with_four_slashes_is_absolute(path: Path) -> None:
    with DefinitionStore(f"sqlite:///{path}") as store:
        store.create(markdown())

    assert path.exists()


def test_a_store_in_memory_is_empty_again_once_closed() -> None:
    store = DefinitionStore(":memory:")
    store.create(markdown())
    assert len(store.query()) == 1

    store.close()

    assert store.query() == []
    store.close()


def test_without_a_clock_the_time_is_now(path: Path) -> None:
    before = datetime.now(timezone.utc)
    with DefinitionStore(path) as store:
        created_at = store.create(markdown()).created_at

    assert before <= created_at <= datetime.now(timezone.utc)
