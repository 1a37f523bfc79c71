"""Files copied into a store, or to a server: each is reported, and a second time changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentreg.extensions.definitions.errors import SourceUnavailableError, StoreUnavailableError
from agentreg.extensions.definitions.storing.migration import MigrationReport, migrate
from agentreg.extensions.definitions.storing.store import DefinitionStore
from tests.extensions.definitions.stores import markdown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "agents"
    (root / "nested" / "deep").mkdir(parents=True)
    (root / "scout.md").write_bytes(markdown("scout").encode())
    (root / "planner.md").write_bytes(("\ufeff" + markdown("planner")).replace("\n", "\r\n").encode())
    (root / "nested" / "deep" / "reviewer.md").write_bytes(markdown("reviewer", tools="Read").encode())
    (root / "notes.txt").write_text("not looked at")
    return root


def outcomes(report: MigrationReport, root: Path) -> dict[str, str]:
    return {Path(each.path).relative_to(root).as_posix(): each.outcome for each in report.files}


def test_every_file_is_copied_to_the_byte(folder: Path, store: DefinitionStore) -> None:
    report = migrate(folder, store)

    assert outcomes(report, folder) == {
        "nested/deep/reviewer.md": "created",
        "planner.md": "created",
        "scout.md": "created",
    }
    assert {each.name for each in report.created} == {"scout", "planner", "reviewer"}
    for each in report.created:
        assert store.require(str(each.name)).content.encode() == Path(each.path).read_bytes()


def test_a_second_time_changes_nothing(folder: Path, store: DefinitionStore) -> None:
    migrate(folder, store)
    before = store.revision

    report = migrate(folder, store)

    assert len(report.unchanged) == len(report.files) == 3
    assert store.revision == before


def test_what_was_stored_by_hand_before_is_unchanged(folder: Path, store: DefinitionStore) -> None:
    store.create((folder / "scout.md").read_bytes(), "deprecated", ["mine"])

    report = migrate(folder, store)

    assert [each.name for each in report.unchanged] == ["scout"]
    assert store.require("scout").status == "deprecated"


def test_a_file_that_differs_makes_a_new_version(folder: Path, store: DefinitionStore) -> None:
    migrate(folder, store)
    (folder / "scout.md").write_text(markdown("scout", body="Be quick."))

    report = migrate(folder, store)

    assert [each.name for each in report.updated] == ["scout"]
    assert len(report.unchanged) == 2
    assert [stored.version for stored in store.history("scout")] == [1, 2]


def test_what_is_not_copied_is_reported_with_its_reason(folder: Path, store: DefinitionStore) -> None:
    (folder / "README.md").write_text("# Our agents")
    (folder / "broken.md").write_text("---\nname: broken\ndescription: never closed\n")
    (folder / "latin.md").write_bytes(b"---\nname: l\ndescription: \xe9\n---\n")
    (folder / "zzz.md").write_text(markdown("scout", body="The second of that name."))

    report = migrate(folder, store)

    reasons = {Path(each.path).name: each.reason for each in report.refused}
    assert list(reasons) == ["README.md", "broken.md", "latin.md", "zzz.md"]
    assert "no header: not an agent" in reasons["README.md"]
    assert f"{folder / 'broken.md'}:1:1: the header that begins here is not closed" in reasons["broken.md"]
    assert f"{folder / 'latin.md'}:3:14:" in reasons["latin.md"]
    assert reasons["zzz.md"] == f"the name 'scout' is that of {folder / 'scout.md'}, too; rename one of the two"
    assert len(report.created) == 3
    assert len(store.history("scout")) == 1


def test_a_report_reads_as_one_line_for_each_file(folder: Path, store: DefinitionStore) -> None:
    (folder / "README.md").write_text("# Our agents")

    lines = str(migrate(folder, store)).splitlines()

    assert len(lines) == 4
    assert lines[0].startswith(f"refused {folder / 'README.md'}: ")
    assert f"created {folder / 'scout.md'} as scout" in lines


def test_a_name_that_only_the_file_name_gives_is_kept(folder: Path, store: DefinitionStore) -> None:
    (folder / "guide.agent.md").write_text("---\ndescription: Shows the way\n---\nYou are a guide.")

    migrate(folder, store)

    assert store.require("guide").definition.description == "Shows the way"
    assert len(migrate(folder, store).unchanged) == 4


def test_a_linked_folder_outside_is_not_entered_and_a_loop_ends(
    folder: Path, store: DefinitionStore, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "hidden.md").write_text(markdown("hidden"))
    os.symlink(tmp_path / "elsewhere", folder / "elsewhere")
    os.symlink(folder, folder / "nested" / "loop")
    os.symlink(folder / "nowhere.md", folder / "dangling.md")

    report = migrate(folder, store)

    assert {each.name for each in report.created} == {"scout", "planner", "reviewer"}
    assert len(migrate(folder, store).unchanged) == 3


def test_a_file_of_another_family_is_named_as_there(folder: Path, store: DefinitionStore) -> None:
    (folder / "guide.md").write_text("---\ndescription: Shows the way\n---\nYou are a guide.")

    report = migrate(folder, store, family="opencode")

    assert "guide" in [each.name for each in report.created]
    assert store.require("guide").definition.description == "Shows the way"


def test_real_definitions_are_copied_to_the_byte_and_once(tmp_path: Path) -> None:
    corpus = Path(__file__).parent / "corpus"
    with DefinitionStore(tmp_path / "definitions.db") as store:
        first = migrate(corpus, store)
        second = migrate(corpus, store)

        assert len(first.created) > 20
        assert [each.path for each in second.unchanged] == [each.path for each in first.created]
        assert second.refused == first.refused
        for each in first.created:
            stored = store.require(str(each.name))
            assert stored.content.encode() == Path(each.path).read_bytes()
            assert stored.definition.name == each.name


@pytest.mark.parametrize("name", ["nothing", "notes.txt"])
def test_what_is_no_folder_is_refused(folder: Path, store: DefinitionStore, name: str) -> None:
    with pytest.raises(NotADirectoryError, match="expected a folder of definitions"):
        migrate(folder / name, store)


def test_nothing_is_taken_out_of_the_store(folder: Path, store: DefinitionStore) -> None:
    store.create(markdown("ghost"))

    migrate(folder, store)

    assert store.require("ghost").version == 1


def test_a_removed_definition_whose_file_is_there_is_created_again(folder: Path, store: DefinitionStore) -> None:
    migrate(folder, store)
    store.remove("scout")

    report = migrate(folder, store)

    assert [each.name for each in report.created] == ["scout"]
    assert store.require("scout").version == 2


def test_a_store_that_is_not_there_stops_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError):
        migrate(folder, DefinitionStore(tmp_path / "none" / "definitions.db"))


# -- to a server --------------------------------------------------------------


def test_a_remote_server_takes_them_as_well(folder: Path) -> None:
    pytest.importorskip("httpx")
    from agentreg.extensions.definitions.sources.docstore import DocStoreSource
    from tests.extensions.definitions.doc_server import EMAIL, PASSWORD, doc_server, status

    with doc_server() as server:
        source = DocStoreSource(server.url, EMAIL, PASSWORD)
        assert len(migrate(folder, source).created) == 3
        assert len(migrate(folder, source).unchanged) == 3
        (folder / "scout.md").write_text(markdown("scout", body="Be quick."))
        server.fail("/admin/update", status(422, {"error": "no"}))
        assert [each.name for each in migrate(folder, source).refused] == ["scout"]
        assert [each.name for each in migrate(folder, source).updated] == ["scout"]

        assert sorted(definition.name for definition in source.load().definitions) == ["planner", "reviewer", "scout"]
        assert {row["name"]: row.get("tools") for row in server.tables["agents"]}["reviewer"] == "Read"
        server.fail("/admin/query", status(500))
        with pytest.raises(SourceUnavailableError):
            migrate(folder, source)
