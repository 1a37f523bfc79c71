"""Definitions in folders and on a server, in one catalog: the server wins, and nobody notices when it is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentreg.extensions.definitions import Catalog, FolderSource
from agentreg.extensions.definitions.storing.store import DefinitionStore
from tests.extensions.definitions.doc_server import EMAIL, PASSWORD, DocServer, doc_server
from tests.extensions.definitions.stores import markdown

pytest.importorskip("httpx", reason="js-doc-store-server needs httpx: pip install 'agentreg[http]'")

from agentreg.extensions.definitions.sources.docstore import DocStoreSource
from agentreg.extensions.definitions.storing.migration import migrate


@pytest.fixture
def server() -> Iterator[DocServer]:
    with doc_server() as running:
        yield running


@pytest.fixture
def user(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / ".pi" / "agent" / "agents"
    folder.mkdir(parents=True)
    for name in ("scout", "planner"):
        (folder / f"{name}.md").write_text(markdown(name, body="From the user's folder."))
    return folder


@pytest.fixture
def catalog(server: DocServer, user: Path, tmp_path: Path) -> Catalog:
    project = tmp_path / "project" / ".pi" / "agents"
    project.mkdir(parents=True)
    (project / "planner.md").write_text(markdown("planner", body="From the project."))
    folders = [FolderSource(user, family="pi", scope="user"), FolderSource(project, family="pi")]
    return Catalog([*folders, DocStoreSource(server.url, EMAIL, PASSWORD)])


def bodies(catalog: Catalog) -> dict[str, str]:
    return {definition.name: definition.body for definition in catalog.all()}


FILES_ONLY = {"planner": "From the project.", "scout": "From the user's folder."}


def test_a_definition_on_the_server_overlays_the_file_of_that_name(server: DocServer, catalog: Catalog) -> None:
    server.tables["agents"] = [
        {"name": "scout", "content": markdown(body="From the server.")},
        {"name": "custom", "content": markdown("custom", body="Only there.")},
    ]

    found = bodies(catalog)

    assert found == {"custom": "Only there.", "planner": "From the project.", "scout": "From the server."}
    scout = catalog.require("scout")
    assert (scout.source, scout.file_path) == ("registry", "registry://scout")


def test_without_the_server_the_files_are_there_and_nothing_is_raised(server: DocServer, catalog: Catalog) -> None:
    server.tables["agents"] = [{"name": "scout", "content": markdown(body="From the server.")}]
    assert bodies(catalog)["scout"] == "From the server."

    server.shutdown()
    server.server_close()
    catalog.refresh()

    assert bodies(catalog) == FILES_ONLY
    assert [status.reachable for status in catalog.sources()] == [True, True, False]


def test_when_the_password_no_longer_holds_the_files_are_there(server: DocServer, user: Path) -> None:
    catalog = Catalog([FolderSource(user, family="pi", scope="user"), DocStoreSource(server.url, EMAIL, "old")])

    assert set(bodies(catalog)) == {"planner", "scout"}


def test_an_agent_that_is_registered_is_found_by_its_topic_updated_and_deleted(
    server: DocServer, catalog: Catalog
) -> None:
    client = DocStoreSource(server.url, EMAIL, PASSWORD).client
    row = {
        "name": "security-auditor",
        "description": "Audits code for security vulnerabilities",
        "version": "1.0.0",
        "tags": "security,audit,subagent",
        "model": "qwen3.6:latest",
        "tools": "read, grep, find, ls, bash",
        "content": "---\nname: security-auditor\n...\n---\n\nYou are a security auditor...",
        "source": "registry",
    }

    client.insert("agents", row)
    catalog.refresh()
    assert [each["name"] for each in client.query("agents", {"tags": {"$regex": "audit"}})] == ["security-auditor"]
    assert [each.name for each in catalog.find(tags="security", tool="grep")] == ["security-auditor"]

    content = markdown("security-auditor", body="Look twice.", version="1.1.0")
    client.update("agents", {"name": "security-auditor"}, {"version": "1.1.0", "content": content})
    catalog.refresh()
    assert catalog.require("security-auditor").version == "1.1.0"

    client.remove("agents", {"name": "security-auditor"})
    catalog.refresh()
    assert catalog.get("security-auditor") is None


def test_files_that_are_migrated_become_the_servers(server: DocServer, catalog: Catalog, user: Path) -> None:
    report = migrate(user, DocStoreSource(server.url, EMAIL, PASSWORD), family="pi")
    catalog.refresh()

    assert sorted(str(each.name) for each in report.created) == ["planner", "scout"]
    assert {definition.source for definition in catalog.all()} == {"registry"}
    assert len(catalog.shadowed()) == 3


def test_a_store_of_ones_own_takes_the_servers_part(place: str, user: Path) -> None:
    with DefinitionStore(place) as store:
        catalog = Catalog([FolderSource(user, family="pi", scope="user"), store])
        assert catalog.require("scout").source == "user"

        store.create(markdown(body="From the store."))
        catalog.refresh()
        assert catalog.require("scout").body == "From the store."

        store.update("scout", markdown(body="Better."), replaces=1)
        catalog.refresh()
        assert catalog.require("scout").body == "Better."

        store.remove("scout")
        catalog.refresh()
        assert catalog.require("scout").body == "From the user's folder."
