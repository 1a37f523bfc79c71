"""Definitions: agents as markdown files, from many sources, kept current.

Needs the extra ``definitions``: PyYAML, and watchfiles for `Catalog.watch`.
`DocStoreSource` and `DocStoreClient` need the extra ``http``, a
`DefinitionStore` on Redis the extra ``redis``; they are imported when they
are asked for.
"""

from typing import TYPE_CHECKING, Any

from agentreg.extensions.definitions.catalog.announcing import Subscription
from agentreg.extensions.definitions.catalog.catalog import Catalog, Reloaded
from agentreg.extensions.definitions.catalog.changes import (
    DefinitionChange,
    DefinitionDeregistered,
    DefinitionMoved,
    DefinitionRegistered,
    DefinitionUpdated,
    ReloadRefused,
)
from agentreg.extensions.definitions.catalog.checks import (
    Checks,
    Reload,
    mcp_servers_reachable,
    resources_available,
    tools_permitted,
)
from agentreg.extensions.definitions.catalog.holding import SourceStatus
from agentreg.extensions.definitions.catalog.snapshot import Shadowed
from agentreg.extensions.definitions.catalog.spawning import SpawnedAgent
from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.errors import (
    ContentError,
    DamagedStoreError,
    DefinitionExistsError,
    NotStoredError,
    SourceUnavailableError,
    StoreFormatError,
    StoreUnavailableError,
    VersionConflictError,
)
from agentreg.extensions.definitions.families import FAMILIES, Family
from agentreg.extensions.definitions.problems import DefinitionError, DefinitionNotFoundError, NotAnAgent, Problem
from agentreg.extensions.definitions.reading.parsing import parse
from agentreg.extensions.definitions.sources.folders import FolderSource, discover
from agentreg.extensions.definitions.sources.source import Listing, Source
from agentreg.extensions.definitions.storing.filters import Filter, FilterError
from agentreg.extensions.definitions.storing.migration import Migrated, MigrationReport, migrate
from agentreg.extensions.definitions.storing.ordering import SortError
from agentreg.extensions.definitions.storing.store import DefinitionStore
from agentreg.extensions.definitions.storing.stored import StoredDefinition

if TYPE_CHECKING:
    from agentreg.extensions.definitions.sources.docstore import DocStoreClient, DocStoreError, DocStoreSource

__all__ = [
    "FAMILIES",
    "AgentDefinition",
    "Catalog",
    "Checks",
    "ContentError",
    "DamagedStoreError",
    "DefinitionChange",
    "DefinitionDeregistered",
    "DefinitionError",
    "DefinitionExistsError",
    "DefinitionMoved",
    "DefinitionNotFoundError",
    "DefinitionRegistered",
    "DefinitionStore",
    "DefinitionUpdated",
    "DocStoreClient",
    "DocStoreError",
    "DocStoreSource",
    "Family",
    "Filter",
    "FilterError",
    "FolderSource",
    "Listing",
    "Migrated",
    "MigrationReport",
    "NotAnAgent",
    "NotStoredError",
    "Problem",
    "Reload",
    "ReloadRefused",
    "Reloaded",
    "Shadowed",
    "SortError",
    "Source",
    "SourceStatus",
    "SourceUnavailableError",
    "SpawnedAgent",
    "StoreFormatError",
    "StoreUnavailableError",
    "StoredDefinition",
    "Subscription",
    "VersionConflictError",
    "discover",
    "mcp_servers_reachable",
    "migrate",
    "parse",
    "resources_available",
    "tools_permitted",
]


def __getattr__(name: str) -> Any:
    if name not in ("DocStoreClient", "DocStoreError", "DocStoreSource"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from agentreg.extensions.definitions.sources import docstore
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise ImportError(f'{name} needs a package: pip install "agentreg[http]"', name="httpx") from error
    return getattr(docstore, name)
