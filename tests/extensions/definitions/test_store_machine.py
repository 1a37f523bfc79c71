"""Any order of calls on a store, against a plain model, for every kind of place."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from agentreg.extensions.definitions.errors import (
    DefinitionExistsError,
    NotStoredError,
    VersionConflictError,
)
from agentreg.extensions.definitions.storing.store import DefinitionStore
from tests.extensions.definitions.stores import Clock, markdown

NAMES = st.sampled_from(["scout", "guide", "a/b: {c}"])
BODIES = st.sampled_from(["One.", "Two.\r\n", "Drei \u00fc"])
STATUSES = st.sampled_from(["active", "deprecated"])
TAGS = st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True)


class Modelled:
    """What the model knows of a name."""

    def __init__(self) -> None:
        self.contents: list[str] = []
        self.removed = True
        self.status = "active"
        self.tags: list[str] = []


class StoreMachine(RuleBasedStateMachine):
    """Two clients of one place, which take turns."""

    make: Any

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.stores: list[DefinitionStore] = self.make(self.clock)
        self.model: dict[str, Modelled] = {}
        self.turn = 0

    @property
    def store(self) -> DefinitionStore:
        self.turn += 1
        self.clock.tick()
        return self.stores[self.turn % len(self.stores)]

    def known(self, name: str) -> Modelled:
        return self.model.get(name, Modelled())

    @rule(name=NAMES, body=BODIES, status=STATUSES, tags=TAGS)
    def create(self, name: str, body: str, status: str, tags: list[str]) -> None:
        content = markdown(f'"{name}"', body=body)
        known = self.known(name)
        if not known.removed:
            with pytest.raises(DefinitionExistsError):
                self.store.create(content, status, tags)
            return
        stored = self.store.create(content, status, tags)
        self.model[name] = known
        known.contents.append(content)
        known.removed, known.status, known.tags = False, status, tags
        assert stored.version == len(known.contents)

    @rule(name=NAMES, body=BODIES, replaces=st.integers(1, 4))
    def update(self, name: str, body: str, replaces: int) -> None:
        content = markdown(f'"{name}"', body=body)
        known = self.known(name)
        error = NotStoredError if known.removed else VersionConflictError
        if known.removed or len(known.contents) != replaces:
            with pytest.raises(error):
                self.store.update(name, content, replaces)
            return
        assert self.store.update(name, content, replaces).version == replaces + 1
        known.contents.append(content)

    @rule(name=NAMES, body=BODIES)
    def put(self, name: str, body: str) -> None:
        content = markdown(f'"{name}"', body=body)
        known = self.known(name)
        outcome = self.store.put(content)
        if known.removed:
            assert outcome == "created"
            self.model[name] = known
            known.removed, known.status, known.tags = False, "active", []
        else:
            assert outcome == ("unchanged" if known.contents[-1] == content else "updated")
        if outcome != "unchanged":
            known.contents.append(content)

    @rule(name=NAMES, version=st.integers(1, 4))
    def rollback(self, name: str, version: int) -> None:
        known = self.known(name)
        if version > len(known.contents):
            with pytest.raises(NotStoredError):
                self.store.rollback(name, version)
            return
        stored = self.store.rollback(name, version)
        known.contents.append(known.contents[version - 1])
        known.removed = False
        assert (stored.version, stored.restores) == (len(known.contents), version)

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        if self.known(name).removed:
            with pytest.raises(NotStoredError):
                self.store.remove(name)
        else:
            self.store.remove(name)
            self.model[name].removed = True

    @precondition(lambda self: len(self.model) > 1)
    @rule(name=NAMES)
    def purge(self, name: str) -> None:
        if name in self.model:
            self.store.purge(name)
            del self.model[name]
        else:
            with pytest.raises(NotStoredError):
                self.store.purge(name)

    @rule(name=NAMES, status=STATUSES, tags=TAGS)
    def mark(self, name: str, status: str, tags: list[str]) -> None:
        if self.known(name).removed:
            with pytest.raises(NotStoredError):
                self.store.set_status(name, status)
        else:
            self.store.set_status(name, status)
            self.store.set_tags(name, tags)
            self.model[name].status, self.model[name].tags = status, tags

    @rule()
    def reopen(self) -> None:
        self.store.close()

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        store = self.store
        there = {name: known for name, known in self.model.items() if not known.removed}
        found = {stored.name: stored for stored in store.query()}
        assert list(found) == sorted(there)
        for name, known in there.items():
            assert found[name].content == known.contents[-1]
            assert (found[name].status, list(found[name].tags)) == (known.status, known.tags)
            assert store.get(name) == found[name]
        assert [definition.name for definition in store.load().definitions] == sorted(there)

    @invariant()
    def no_version_is_lost_or_changed(self) -> None:
        for name, known in self.model.items():
            history = self.store.history(name)
            assert [stored.version for stored in history] == list(range(1, len(known.contents) + 1))
            assert [stored.content for stored in history] == known.contents
            digests = [hashlib.sha256(content.encode()).hexdigest() for content in known.contents]
            assert [stored.digest for stored in history] == digests

    def teardown(self) -> None:
        for store in self.stores:
            store.close()


def run(make: Any, examples: int) -> None:
    machine = type("Machine", (StoreMachine,), {"make": staticmethod(make)})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=checks),
    )


def test_in_a_file_any_order_of_calls_agrees_with_a_plain_model(tmp_path: Path) -> None:
    def make(clock: Clock) -> list[DefinitionStore]:
        path = Path(tempfile.mkdtemp(dir=tmp_path)) / "definitions.db"
        return [DefinitionStore(path, clock=clock), DefinitionStore(path, clock=clock)]

    run(make, 30)


def test_on_redis_any_order_of_calls_agrees_with_a_plain_model(redis_url: str) -> None:
    import redis

    def make(clock: Clock) -> list[DefinitionStore]:
        with redis.Redis.from_url(redis_url) as client, suppress(redis.RedisError):
            client.flushall()
        return [DefinitionStore(redis_url, clock=clock), DefinitionStore(redis_url, clock=clock)]

    run(make, 30)
