"""Coordination: one directory of agents over runtimes, processes and machines."""

from agentreg.extensions.coordination.config import AgentDirectoryConfig, AgentRegistryConfig
from agentreg.extensions.coordination.directory import AgentDirectory
from agentreg.extensions.coordination.errors import (
    AgentIdTakenError,
    BackendURLError,
    DamagedStoreError,
    DirectoryUnavailableError,
    ForeignKeyError,
    ForeignStoreError,
)
from agentreg.extensions.coordination.events import Change, Listing, RegistryEvent, RegistryEventType, Resync
from agentreg.extensions.coordination.record import AgentMetadata, AgentStatus, WorkState

__all__ = [
    "AgentDirectory",
    "AgentDirectoryConfig",
    "AgentIdTakenError",
    "AgentMetadata",
    "AgentRegistryConfig",
    "AgentStatus",
    "BackendURLError",
    "Change",
    "DamagedStoreError",
    "DirectoryUnavailableError",
    "ForeignKeyError",
    "ForeignStoreError",
    "Listing",
    "RegistryEvent",
    "RegistryEventType",
    "Resync",
    "WorkState",
]
