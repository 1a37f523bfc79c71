"""The directory that the processes share, opened in the same way by all of them."""

from __future__ import annotations

from agentreg.extensions.coordination import AgentDirectory, AgentDirectoryConfig, BackendURLError
from agentreg.extensions.coordination.backend import FORMS
from agentreg.extensions.coordination.processes import this_process

__all__ = ["open_directory"]

QUEUE = 10_000  # events that wait for a callback: all agents may come at once


def open_directory(url: str) -> AgentDirectory:
    """The directory at *url*, with leases that are renewed by themselves.

    Raises BackendURLError for an address of no known form, or one that
    belongs to a single process; ImportError with the extra to install when a
    library is missing.
    """
    if url.startswith("memory:"):
        raise BackendURLError(url, "that is in the memory of one process, and these are several", _several(FORMS))
    try:
        return AgentDirectory(_config(), backend=url, auto_heartbeat=True)
    except BackendURLError as error:
        raise BackendURLError(error.url, error.reason, _several(error.forms)) from None


def _several(forms: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the forms that several processes can share."""
    return tuple(form for form in forms if not form.startswith("memory:"))


def _config() -> AgentDirectoryConfig:
    if this_process().start and this_process().boot:
        return AgentDirectoryConfig(event_queue_size=QUEUE)
    # where the process table can't be read, only leases tell who is dead: short ones, for the demo's second
    return AgentDirectoryConfig(heartbeat_timeout=0.5, auto_deregister_timeout=0.9, event_queue_size=QUEUE)
