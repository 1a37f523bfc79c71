"""The table of versions: the same tests for every kind of place, and what a model says for any order of calls."""

from __future__ import annotations

import hashlib
import pickle
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from agentreg import RegistryError
from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.errors import (
    ContentError,
    DamagedStoreError,
    DefinitionExistsError,
    NotStoredError,
    SourceUnavailableError,
    StoreUnavailableError,
    VersionConflictError,
)
from agentreg.extensions.definitions.problems import DefinitionError, DefinitionNotFoundError, NotAnAgent
from agentreg.extensions.definitions.reading.parsing import parse
from agentreg.extensions.definitions.sources.source import Source
from agentreg.extensions.definitions.storing.backends import Backend, Entry, Version
from agentreg.extensions.definitions.storing.drafts import CONTENT_LIMIT
from agentreg.extensions.definitions.storing.filters import FilterError
from agentreg.extensions.definitions.storing.ordering import SortError
from agentreg.extensions.definitions.storing.store import DefinitionStore
from tests.extensions.definitions.stores import Clock, markdown
from tests.watchdog import run_threads


def names(found: list[Any]) -> list[str]:
    return [each.name for each in found]


# -- creating ---------------------------------------------------------------


def test_a_new_definition_is_version_one(store: DefinitionStore, clock: Clock) -> None:
    created = store.create(markdown(version="2.10", model="opus", tools="Read, Bash(git log)", tags="[recon, fast]"))

    assert (created.name, created.version, created.status, created.change) == ("scout", 1, "active", "created")
    assert created.tags == ("recon", "fast")
    assert created.created_at == clock.now
    assert created.definition.version == "2.10"
    assert created.definition.tools == ("Read", "Bash(git log)")
    assert store.get("scout") == created


def test_what_is_stored_is_a_definition_of_the_registry(store: DefinitionStore) -> None:
    store.create(markdown())

    definition = store.require("scout").definition

    assert (definition.source, definition.file_path) == ("registry", "registry://scout")
    assert definition.body == "You are a scout."


@pytest.mark.parametrize(
    "text",
    [
        markdown(),
        markdown().replace("\n", "\r\n"),
        "\ufeff" + markdown(),
        markdown(body="no line end").rstrip("\n"),
        markdown(description="\u4f60\u597d \U0001f600", body="tab\there   \n\n\n"),
    ],
    ids=["plain", "crlf", "bom", "no line end", "unicode"],
)
@pytest.mark.parametrize("form", [str, str.encode], ids=["text", "bytes"])
def test_the_content_is_kept_to_the_byte(store: DefinitionStore, text: str, form: Any) -> None:
    store.create(form(text))

    stored = store.require("scout")
    assert stored.content.encode() == text.encode()
    assert stored.digest == hashlib.sha256(text.encode()).hexdigest() == stored.definition.digest


def test_a_name_that_is_there_is_not_created_again(store: DefinitionStore) -> None:
    store.create(markdown())

    with pytest.raises(
        DefinitionExistsError, match=r"'scout' is there already, in version 1; update\('scout'"
    ) as caught:
        store.create(markdown(body="Another."))

    assert (caught.value.name, caught.value.version) == ("scout", 1)
    assert len(store.history("scout")) == 1


def test_a_definition_that_was_read_from_a_file_is_stored_as_the_file_is(
    store: DefinitionStore, tmp_path: Path
) -> None:
    path = tmp_path / "scout.md"
    path.write_bytes(b"---\r\nname:   scout\r\ndescription: Looks around # well\r\n---\r\n\r\nYou are a scout.")
    definition = parse(path.read_bytes(), path=str(path))

    assert store.create(definition).content.encode() == path.read_bytes()


def test_a_definition_whose_file_has_changed_is_written_from_its_fields(store: DefinitionStore, tmp_path: Path) -> None:
    path = tmp_path / "scout.md"
    path.write_text(markdown(tools="Read", model="opus"))
    definition = parse(path.read_bytes(), path=str(path))
    path.write_text(markdown(description="Somebody else"))

    stored = store.create(definition).definition

    assert (stored.description, stored.tools, stored.model) == ("Looks around", ("Read",), "opus")


def test_a_definition_made_by_hand_is_stored(store: DefinitionStore) -> None:
    stored = store.create(AgentDefinition("scout", "Looks: around", tools=(), body="You are a scout."))

    assert stored.definition.description == "Looks: around"
    assert stored.definition.tools == ()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("---\nname: scout\n---\nNo description.", DefinitionError),
        ("---\nname: scout\ndescription: never closed", DefinitionError),
        ("Just prose.", NotAnAgent),
        (b"---\nname: scout\ndescription: \xff\n---\n", DefinitionError),
        ("---\nname: scout\ndescription: half \ud800\n---\n", DefinitionError),
        (markdown(body="x" * CONTENT_LIMIT), ContentError),
        (markdown(name="x" * 256), ContentError),
        (42, TypeError),
        (None, TypeError),
    ],
)
def test_what_is_no_definition_is_refused_and_leaves_nothing(store: DefinitionStore, content: Any, error: Any) -> None:
    with pytest.raises(error):
        store.create(content)

    assert store.query() == []


@pytest.mark.parametrize("status", ["Active", "removed", "", None, 1])
def test_an_unknown_status_is_refused(store: DefinitionStore, status: Any) -> None:
    with pytest.raises(ValueError, match="expected active or deprecated, got"):
        store.create(markdown(), status=status)

    assert store.get("scout") is None


@pytest.mark.parametrize(("tags", "error"), [("recon", TypeError), ([""], ValueError), ([7], TypeError)])
def test_tags_that_are_none_are_refused(store: DefinitionStore, tags: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="tags: expected"):
        store.create(markdown(), tags=tags)


def test_tags_are_added_to_those_of_the_header(store: DefinitionStore) -> None:
    created = store.create(markdown(tags="[recon]"), "deprecated", ["night", "recon"])

    assert (created.status, created.tags) == ("deprecated", ("recon", "night"))
    assert created.definition.tags == ("recon", "night")


# -- updating ---------------------------------------------------------------


def test_an_update_makes_a_new_version_and_leaves_the_old_one(store: DefinitionStore, clock: Clock) -> None:
    first = store.create(markdown(), tags=["mine"])
    clock.tick()

    second = store.update("scout", markdown(body="Be quick."), replaces=1)

    assert (second.version, second.change, second.tags) == (2, "updated", ("mine",))
    assert second.created_at - first.created_at == timedelta(seconds=1)
    assert store.require("scout") == second
    assert store.require("scout", 1) == first
    assert store.history("scout") == [first, second]


def test_an_update_that_comes_too_late_is_a_conflict_that_names_both_versions(store: DefinitionStore) -> None:
    store.create(markdown())
    store.update("scout", markdown(body="Mine."), replaces=1)

    with pytest.raises(VersionConflictError, match="is at version 2, not at 1") as caught:
        store.update("scout", markdown(body="Yours."), replaces=1)

    assert (caught.value.name, caught.value.replaces, caught.value.current) == ("scout", 1, 2)
    assert store.require("scout").content == markdown(body="Mine.")


def test_an_update_of_a_version_that_is_still_to_come_is_a_conflict(store: DefinitionStore) -> None:
    store.create(markdown())

    with pytest.raises(VersionConflictError):
        store.update("scout", markdown(), replaces=2)


@pytest.mark.parametrize(
    ("replaces", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), ("1", TypeError)]
)
def test_a_version_to_replace_is_a_number_from_one(
    store: DefinitionStore, replaces: Any, error: type[Exception]
) -> None:
    store.create(markdown())

    with pytest.raises(error, match="replaces: expected a whole number from 1 up"):
        store.update("scout", markdown(), replaces=replaces)


def test_an_update_does_not_rename(store: DefinitionStore) -> None:
    store.create(markdown())

    with pytest.raises(ContentError, match="names 'guide', and 'scout' was to be updated"):
        store.update("scout", markdown("guide"), replaces=1)


def test_of_many_who_update_at_once_one_gets_through(store: DefinitionStore) -> None:
    store.create(markdown())

    def attempt() -> str:
        try:
            return f"version {store.update('scout', markdown(body='Mine.'), replaces=1).version}"
        except VersionConflictError as error:
            return f"conflict with {error.current}"

    outcomes = run_threads(*[attempt] * 6)

    assert sorted(outcomes) == ["conflict with 2"] * 5 + ["version 2"]
    assert len(store.history("scout")) == 2


def test_of_many_who_create_at_once_one_gets_through(store: DefinitionStore) -> None:
    def attempt() -> bool:
        try:
            return store.create(markdown()).version == 1
        except DefinitionExistsError:
            return False

    assert sorted(run_threads(*[attempt] * 6)) == [False] * 5 + [True]


def test_many_who_each_look_again_lose_nothing(store: DefinitionStore) -> None:
    store.create(markdown())

    def add(number: int) -> None:
        while True:
            latest = store.require("scout").version
            try:
                store.update("scout", markdown(body=f"By {number}."), replaces=latest)
                return
            except VersionConflictError:
                continue

    run_threads(*[lambda number=number: add(number) for number in range(5)])

    bodies = {stored.definition.body for stored in store.history("scout")}
    assert bodies == {"You are a scout.", *(f"By {number}." for number in range(5))}


# -- rolling back -----------------------------------------------------------


def test_a_rollback_is_a_new_version_with_the_very_content_of_the_old(store: DefinitionStore, clock: Clock) -> None:
    first = store.create("\ufeff" + markdown().replace("\n", "\r\n"))
    store.update("scout", markdown(body="Worse."), replaces=1)
    clock.tick(60)

    third = store.rollback("scout", 1)

    assert (third.version, third.restores, third.change) == (3, 1, "rolled back")
    assert (third.content, third.digest) == (first.content, first.digest)
    assert third.created_at == clock.now
    assert [stored.version for stored in store.history("scout")] == [1, 2, 3]


def test_a_rollback_to_what_is_not_there_is_refused(store: DefinitionStore) -> None:
    store.create(markdown())

    with pytest.raises(NotStoredError, match="'scout' has no version 2"):
        store.rollback("scout", 2)
    with pytest.raises(NotStoredError, match="no definition is named 'scot'; the nearest names are 'scout'"):
        store.rollback("scot", 1)


def test_a_rollback_brings_a_removed_definition_back(store: DefinitionStore) -> None:
    store.create(markdown())
    store.remove("scout")

    assert store.rollback("scout", 1).version == 2
    assert store.require("scout").version == 2


class Tampered:
    """A backend that has lost a byte of each content."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def read(self, name: str, number: int | None = None) -> tuple[Entry, Version] | None:
        found = self._backend.read(name, number)
        return found and (found[0], Version(**{**vars(found[1]), "content": found[1].content[:-1]}))


def test_a_content_without_its_digest_is_not_rolled_back_to(backend: Backend) -> None:
    store = DefinitionStore(backend)
    store.create(markdown())

    with pytest.raises(DamagedStoreError, match="does not have its digest"):
        DefinitionStore(Tampered(backend)).rollback("scout", 1)

    assert len(store.history("scout")) == 1


# -- removing ---------------------------------------------------------------


def test_what_is_removed_is_gone_but_for_its_history(store: DefinitionStore) -> None:
    first = store.create(markdown())

    store.remove("scout")

    assert store.get("scout") is None
    assert store.query() == []
    assert store.load().definitions == ()
    assert store.history("scout") == [first]
    assert store.get("scout", 1) == first


def test_a_removed_name_goes_on_with_its_numbers(store: DefinitionStore) -> None:
    store.create(markdown(), tags=["old"])
    store.remove("scout")

    again = store.create(markdown(body="New."))

    assert (again.version, again.tags) == (2, ())
    assert len(store.history("scout")) == 2


def test_a_purged_name_begins_anew(store: DefinitionStore) -> None:
    store.create(markdown())
    store.update("scout", markdown(body="Be quick."), replaces=1)
    store.remove("scout")

    store.purge("scout")

    assert store.history("scout") == []
    assert store.get("scout", 1) is None
    assert store.create(markdown()).version == 1
    assert len(store.history("scout")) == 1


def test_purging_takes_what_is_not_removed_too_and_nothing_else(store: DefinitionStore) -> None:
    store.create(markdown())
    store.create(markdown("guide"))

    store.purge("scout")

    assert names(store.query()) == ["guide"]
    assert len(store.history("guide")) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.update("scout", markdown(), replaces=1),
        lambda store: store.remove("scout"),
        lambda store: store.purge("scout"),
        lambda store: store.rollback("scout", 1),
        lambda store: store.set_status("scout", "deprecated"),
        lambda store: store.set_tags("scout", []),
        lambda store: store.require("scout"),
        lambda store: store.require("scout", 3),
    ],
)
def test_an_unknown_name_is_an_error_that_is_a_lookup_error(store: DefinitionStore, call: Any) -> None:
    with pytest.raises(LookupError, match="no definition is named 'scout', nor anything like it") as caught:
        call(store)

    assert isinstance(caught.value, NotStoredError)
    assert isinstance(caught.value, DefinitionNotFoundError)
    assert isinstance(caught.value, RegistryError)


def test_a_removed_name_can_neither_be_updated_nor_removed_again(store: DefinitionStore) -> None:
    store.create(markdown())
    store.remove("scout")

    with pytest.raises(NotStoredError):
        store.update("scout", markdown(), replaces=1)
    with pytest.raises(NotStoredError):
        store.remove("scout")


def test_reading_what_is_unknown_gives_nothing(store: DefinitionStore) -> None:
    assert store.get("scout") is None
    assert store.get("scout", 1) is None
    assert store.history("scout") == []


def test_a_version_of_any_size_can_be_asked_for(store: DefinitionStore) -> None:
    store.create(markdown())

    assert store.get("scout", 10**30) is None
    with pytest.raises(NotStoredError, match="has no version 1000000000000000000000000000000"):
        store.rollback("scout", 10**30)


@pytest.mark.parametrize("name", ["x" * 10_000, "", "\0", "a\nb", "%", "'; DROP TABLE entries; --", "\U0001f600"])
def test_any_text_can_be_asked_for(store: DefinitionStore, name: str) -> None:
    store.create(markdown())

    assert store.get(name) is None
    assert store.history(name) == []


@pytest.mark.parametrize(("name", "error"), [(None, TypeError), (b"scout", TypeError), ("half \ud800", ValueError)])
def test_what_is_no_name_is_refused(store: DefinitionStore, name: Any, error: type[Exception]) -> None:
    for call in (store.get, store.history, store.remove, store.purge):
        with pytest.raises(error, match="name: "):
            call(name)


# -- status and tags --------------------------------------------------------


def test_status_and_tags_change_without_a_new_version(store: DefinitionStore) -> None:
    store.create(markdown(tags="[recon]"))

    assert store.set_status("scout", "deprecated").status == "deprecated"
    assert store.set_tags("scout", ["night"]).tags == ("recon", "night")

    stored = store.require("scout")
    assert (stored.version, stored.status, stored.tags) == (1, "deprecated", ("recon", "night"))


def test_an_update_may_change_status_and_tags_with_the_content(store: DefinitionStore) -> None:
    store.create(markdown(), tags=["a"])

    updated = store.update("scout", markdown(body="Old."), replaces=1, status="deprecated", tags=["b"])

    assert (updated.status, updated.tags) == ("deprecated", ("b",))


# -- putting ----------------------------------------------------------------


def test_putting_creates_then_updates_and_leaves_alone_what_is_the_same(store: DefinitionStore) -> None:
    outcomes = [store.put(text) for text in (markdown(), markdown(), markdown(body="New."), markdown(body="New."))]

    assert outcomes == ["created", "unchanged", "updated", "unchanged"]
    assert len(store.history("scout")) == 2


def test_of_many_who_put_the_same_one_creates_it(store: DefinitionStore) -> None:
    outcomes = run_threads(*[lambda: store.put(markdown())] * 5)

    assert sorted(outcomes) == ["created"] + ["unchanged"] * 4


# -- columns ----------------------------------------------------------------


def test_columns_speak_where_the_header_is_silent_and_stay_with_the_version(store: DefinitionStore) -> None:
    row = {
        "name": "scout",
        "description": "From the row",
        "version": "1.0.0",
        "tags": "security,audit",
        "tools": "Read, Bash",
    }
    store.create("---\nname: scout\n...\n---\n\nYou are a scout.", columns=row)

    stored = store.require("scout")

    assert stored.definition.description == "From the row"
    assert stored.definition.tools == ("Read", "Bash")
    assert names(store.query({"tags": "audit", "version": "1.0.0"})) == ["scout"]
    assert stored.row()["tags"] == "security,audit"
    store.update("scout", markdown(), replaces=1)
    assert store.rollback("scout", 1).definition.description == "From the row"


# -- querying ---------------------------------------------------------------


@pytest.fixture
def crew(store: DefinitionStore, clock: Clock) -> DefinitionStore:
    store.create(markdown("scout", tags="[recon, fast]", model="haiku", tools="Read, Grep", version="1.0"))
    clock.tick()
    store.create(markdown("reviewer", tags="[code-review]", model="opus", tools="Read"))
    clock.tick()
    store.create(markdown("planner", description="Plans", model="opus"), "deprecated", ["review"])
    return store


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({}, ["planner", "reviewer", "scout"]),
        (None, ["planner", "reviewer", "scout"]),
        ({"name": "scout"}, ["scout"]),
        ({"model": "opus", "status": "active"}, ["reviewer"]),
        ({"tags": {"$regex": "review"}}, ["planner", "reviewer"]),
        ({"tags": "review"}, ["planner"]),
        ({"tools": "Grep"}, ["scout"]),
        ({"tools": {"$exists": False}}, ["planner"]),
        ({"version": "1.0"}, ["scout"]),
        ({"version": None}, ["planner", "reviewer"]),
        ({"store_version": {"$gte": 1}}, ["planner", "reviewer", "scout"]),
        ({"name": {"$in": ["scout", "planner", "nobody"]}}, ["planner", "scout"]),
        ({"name": {"$ne": "scout"}}, ["planner", "reviewer"]),
        ({"created_at": {"$gt": "2024-08-14T12:00:00.500000Z"}}, ["planner", "reviewer"]),
        ({"content": {"$regex": "(?i)PLANS"}}, ["planner"]),
        ({"source": "registry", "name": {"$lt": "r"}}, ["planner"]),
    ],
)
def test_a_query_finds_what_fits(crew: DefinitionStore, filter: Any, expected: list[str]) -> None:
    assert names(crew.query(filter)) == expected


def test_a_query_is_sorted_and_cut(crew: DefinitionStore) -> None:
    assert names(crew.query({}, sort={"model": 1, "name": -1})) == ["scout", "reviewer", "planner"]
    assert names(crew.query({}, sort={"created_at": -1}, limit=2)) == ["planner", "reviewer"]


def test_a_query_sees_the_latest_versions_only(crew: DefinitionStore) -> None:
    crew.update("scout", markdown("scout", model="opus"), replaces=1)

    assert crew.query({"model": "haiku"}) == []
    assert len(crew.query({"model": "opus"})) == 3


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"filter": {"name": {"$near": 1}}}, FilterError),
        ({"filter": []}, FilterError),
        ({"sort": {"name": 2}}, SortError),
        ({"limit": 0}, ValueError),
        ({"limit": "3"}, TypeError),
    ],
)
def test_a_malformed_query_is_refused(crew: DefinitionStore, arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        crew.query(**arguments)


# -- as a source ------------------------------------------------------------


def test_a_store_is_a_source_of_what_is_not_removed(store: DefinitionStore, place: str) -> None:
    store.create(markdown("scout"), tags=["night"])
    store.create(markdown("guide"), "deprecated")
    store.create(markdown("ghost"))
    store.remove("ghost")
    source: Source = store

    listing = source.load()

    assert names(list(listing.definitions)) == ["guide", "scout"]
    assert listing.definitions[1].tags == ("night",)
    assert {each.source for each in listing.definitions} == {"registry"}
    assert (source.name, source.remote) == (place, place.startswith("redis"))


def test_a_listing_is_the_same_object_until_something_changes(store: DefinitionStore) -> None:
    store.create(markdown())
    first = store.load()

    assert store.load() is first
    store.set_tags("scout", ["new"])
    assert store.load() is not first
    assert store.load().definitions[0].tags == ("new",)


def test_a_change_by_another_is_seen_at_once(store: DefinitionStore, place: str) -> None:
    with DefinitionStore(place) as other:
        other.create(markdown())

        assert store.require("scout").version == 1
        store.update("scout", markdown(body="Mine."), replaces=1)
        assert other.require("scout").version == 2
        assert other.load().definitions[0].body == "Mine."


def test_every_change_makes_the_revision_larger(store: DefinitionStore) -> None:
    revisions = [store.revision]
    for change in (
        lambda: store.create(markdown()),
        lambda: store.update("scout", markdown(), replaces=1),
        lambda: store.set_status("scout", "deprecated"),
        lambda: store.remove("scout"),
        lambda: store.purge("scout"),
    ):
        change()
        revisions.append(store.revision)

    assert revisions == sorted(set(revisions))


def test_a_closed_store_opens_again(store: DefinitionStore) -> None:
    store.create(markdown())
    store.close()
    store.close()

    assert store.require("scout").version == 1


# -- times ------------------------------------------------------------------


def test_times_are_utc_whatever_zone_the_clock_is_in(place: str) -> None:
    zone = timezone(timedelta(hours=5, minutes=30))
    with DefinitionStore(place, clock=lambda: datetime(2024, 8, 14, 17, 30, 0, 1, zone)) as store:
        store.create(markdown())

        stored = store.require("scout")

    assert stored.created_at == datetime(2024, 8, 14, 12, 0, 0, 1, timezone.utc)
    assert stored.created_at.tzinfo is timezone.utc
    assert stored.document()["created_at"] == "2024-08-14T12:00:00.000001Z"


def test_a_clock_without_a_zone_is_refused(place: str) -> None:
    store = DefinitionStore(place, clock=lambda: datetime(2024, 8, 14))

    with store, pytest.raises(ValueError, match="without a time zone"):
        store.create(markdown())


# -- backends ---------------------------------------------------------------


def test_the_same_commit_again_is_done_already(backend: Backend) -> None:
    """After a broken connection a client can't know, and asks again."""
    entry = Entry("scout", "token", 1, "active")
    version = Version(1, markdown(), "digest", "2024-08-14T12:00:00.000000Z", "created")

    assert backend.commit(entry, None, version)
    assert backend.commit(entry, None, version)
    assert not backend.commit(Entry("scout", "other", 1, "active"), None, version)
    assert backend.forget("scout", "token")
    assert backend.forget("scout", "token")


def test_a_commit_on_another_state_changes_nothing(backend: Backend) -> None:
    first = Entry("scout", "first", 1, "active")
    version = Version(1, markdown(), "digest", "2024-08-14T12:00:00.000000Z", "created")
    backend.commit(first, None, version)
    before = backend.revision()

    assert not backend.commit(Entry("scout", "second", 1, "deprecated"), "zeroth")
    assert not backend.forget("scout", "zeroth")

    assert backend.read("scout") == (first, version)
    assert backend.revision() == before


# -- places and errors ------------------------------------------------------


@pytest.mark.parametrize("url", ["http://localhost", "mysql://x/y", "redis+sentinel://x"])
def test_an_unknown_kind_of_place_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected a path, or a URL with sqlite://"):
        DefinitionStore(url)


@pytest.mark.parametrize(
    "error",
    [
        NotStoredError("scout", None, ["scott"]),
        NotStoredError("scout", 3),
        DefinitionExistsError("scout", 1),
        VersionConflictError("scout", 1, 2),
        StoreUnavailableError("here", "it is down", "start it"),
        DamagedStoreError("here", "it is damaged", "mend it", "there"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_pickling(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_a_store_that_is_not_there_is_a_source_that_is_not_there() -> None:
    assert issubclass(StoreUnavailableError, SourceUnavailableError)
    assert issubclass(DamagedStoreError, SourceUnavailableError)
