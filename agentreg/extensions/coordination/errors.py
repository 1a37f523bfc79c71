"""What can go wrong between a directory and its store."""

from __future__ import annotations

from agentreg import RegistryError

__all__ = [
    "AgentIdTakenError",
    "BackendURLError",
    "DamagedStoreError",
    "DirectoryUnavailableError",
    "ForeignKeyError",
    "ForeignStoreError",
]


class DirectoryUnavailableError(RegistryError, ConnectionError):
    """The store gave no answer in time: it is away, or someone holds it up.

    Whether the call took effect is not known. A registration that did is
    found to be one's own when it is tried again.

    Attributes:
        url: The store's address, without a password.
        reason: What happened.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return f"the directory at {self.url} gives no answer ({self.reason}); try again, or look whether it runs"


class AgentIdTakenError(RegistryError, ValueError):
    """An agent id is held by another living registration.

    Attributes:
        agent_id: The id that was asked for.
        runtime_id: The holder's runtime.
        where: The holder's machine and process, as text.
    """

    def __init__(self, agent_id: str, runtime_id: str, where: str) -> None:
        super().__init__(agent_id, runtime_id, where)
        self.agent_id = agent_id
        self.runtime_id = runtime_id
        self.where = where

    def __str__(self) -> str:
        return (
            f"agent id {self.agent_id!r} is already registered by runtime {self.runtime_id!r} ({self.where}); "
            "pass another agent_id, or deregister the holder first"
        )


class BackendURLError(RegistryError, ValueError):
    """A store's address is of no known form.

    Attributes:
        url: What came, without a password.
        reason: What is wrong with it.
        forms: The forms that are known.
    """

    def __init__(self, url: str, reason: str, forms: tuple[str, ...]) -> None:
        super().__init__(url, reason, forms)
        self.url = url
        self.reason = reason
        self.forms = forms

    def __str__(self) -> str:
        return f"backend {self.url!r}: {self.reason}; known forms: {', '.join(self.forms)}"


class DamagedStoreError(RegistryError):
    """A store's file can't be read. It was set aside, whole, and a new one begun.

    Attributes:
        path: Where the store lives.
        aside: Where the damaged file is now.
        reason: What the engine says.
    """

    def __init__(self, path: str, aside: str, reason: str) -> None:
        super().__init__(path, aside, reason)
        self.path = path
        self.aside = aside
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"{self.path} is damaged ({self.reason}); it was set aside as {self.aside}, nothing of it is lost; "
            "open the directory again to begin a new one, or put a backup in its place"
        )


class ForeignStoreError(RegistryError, ValueError):
    """A file is no store that this version can use. It was left as it is.

    Attributes:
        path: The file.
        reason: What it is instead.
        remedy: The way out.
    """

    def __init__(self, path: str, reason: str, remedy: str) -> None:
        super().__init__(path, reason, remedy)
        self.path = path
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.path} can't be used as a directory: {self.reason}; {self.remedy}"


class ForeignKeyError(RegistryError):
    """A key under the directory's name is not the directory's.

    Nothing of it was changed.

    Attributes:
        url: The store's address, without a password.
        reason: Which key it is, and what it holds.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.url}: the key {self.reason}; move it out of the way, or choose another name with ?prefix="
