"""A store on Redis: what only a server can do wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentreg.extensions.definitions.errors import StoreFormatError, StoreUnavailableError
from agentreg.extensions.definitions.storing.store import DefinitionStore
from tests.extensions.definitions.redis_server import free_port, redis_server
from tests.extensions.definitions.stores import markdown
from tests.watchdog import PACKAGE_HOME

redis = pytest.importorskip("redis")


def test_a_server_that_is_not_there_is_an_unavailable_store() -> None:
    store = DefinitionStore(f"redis://:secret@127.0.0.1:{free_port()}/0")

    with pytest.raises(StoreUnavailableError, match="see that the server runs") as caught:
        store.load()

    assert "secret" not in f"{caught.value} {store!r} {store.name}"
    store.close()


def test_a_server_that_goes_and_comes_back_with_its_disk_has_lost_nothing(tmp_path: Path) -> None:
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    # the server is killed at the end of each block
    with redis_server(tmp_path, *durable) as port, DefinitionStore(f"redis://127.0.0.1:{port}/0") as store:
        store.create(markdown())
        store.update("scout", markdown(body="Kept."), replaces=1)

    with redis_server(tmp_path, *durable) as port, DefinitionStore(f"redis://127.0.0.1:{port}/0") as store:
        assert [stored.version for stored in store.history("scout")] == [1, 2]
        assert store.require("scout").definition.body == "Kept."


def _own_all_slots(port: int) -> None:
    deadline = time.monotonic() + 30
    with redis.Redis(port=port, decode_responses=True) as node:
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        while "cluster_state:ok" not in str(node.execute_command("CLUSTER", "INFO")):
            assert time.monotonic() < deadline, "the cluster does not come up"


def test_a_cluster_keeps_a_store_in_one_slot(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--cluster-enabled", "yes", "--save", "") as port:
        _own_all_slots(port)
        with DefinitionStore(f"redis://127.0.0.1:{port}") as store:
            store.create(markdown())
            store.create(markdown("guide"))
            store.update("scout", markdown(body="Quick."), replaces=1)

            assert [stored.name for stored in store.query()] == ["guide", "scout"]
            assert len(store.history("scout")) == 2
            store.purge("scout")
            assert len(store.load().definitions) == 1


def test_all_keys_share_one_tag(empty_redis: str) -> None:
    with DefinitionStore(empty_redis) as store:
        store.create(markdown('"a}{b"'))
    with redis.Redis.from_url(empty_redis, decode_responses=True) as client:
        keys = client.keys()

    assert len(keys) == 4
    assert all(key.startswith("{agentreg:definitions}:") for key in keys)


def test_keys_of_somebody_else_are_not_touched(empty_redis: str) -> None:
    with redis.Redis.from_url(empty_redis) as client:
        client.set("{agentreg:definitions}:entries", "mine")

        with DefinitionStore(empty_redis) as store, pytest.raises(StoreFormatError, match="is not a store's"):
            store.create(markdown())

        assert client.get("{agentreg:definitions}:entries") == b"mine"
        assert client.keys() == [b"{agentreg:definitions}:entries"]


def test_what_is_damaged_on_the_server_is_said_to_be(empty_redis: str) -> None:
    with DefinitionStore(empty_redis) as store:
        store.create(markdown())
        with redis.Redis.from_url(empty_redis) as client:
            client.hset("{agentreg:definitions}:versions:scout", "1", "{cut o")

        with pytest.raises(StoreFormatError, match=r"can't be read .*restore a backup, or upgrade"):
            store.query()


def test_a_server_that_takes_no_writes_is_an_unavailable_store_that_can_be_read(empty_redis: str) -> None:
    with DefinitionStore(empty_redis) as store, redis.Redis.from_url(empty_redis) as client:
        store.create(markdown())
        client.replicaof("127.0.0.1", free_port())
        try:
            with pytest.raises(StoreUnavailableError, match="takes writes"):
                store.create(markdown("guide"))
            assert store.require("scout").version == 1
        finally:
            client.replicaof("NO", "ONE")


def test_revisions_go_on_when_a_server_has_lost_everything(empty_redis: str) -> None:
    with DefinitionStore(empty_redis) as store, redis.Redis.from_url(empty_redis) as client:
        store.create(markdown())
        assert [definition.name for definition in store.load().definitions] == ["scout"]
        client.flushall()

        store.create(markdown("guide"))

        assert [definition.name for definition in store.load().definitions] == ["guide"]


def test_without_the_package_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["redis"] = None
from agentreg.extensions.definitions.storing.store import DefinitionStore
try:
    DefinitionStore("redis://localhost")
except ImportError as error:
    print(error)
"""
    outcome = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": PACKAGE_HOME},
        check=False,
    )

    assert outcome.stdout == 'a store on Redis needs a package: pip install "agentreg[redis]"\n', outcome.stderr
