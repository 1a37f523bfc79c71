"""Records and their fields as other directories send them, checked for their types.

What a store keeps is shown to everybody: one record with a text where a
number belongs would make every listing fail.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

__all__ = ["Deleted", "Patched", "Put", "Renewed", "check"]

Seconds = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]  #: since 1970, until the last day of the year 9999
Whole = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Health = Literal["active", "degraded", "unhealthy", "offline"]
Work = Literal["active", "idle", "error", "maintenance"]
Object = dict[str, Any]


class Fields(msgspec.Struct, omit_defaults=True):
    """Fields of a record; those left out have their defaults. Others are left out by this version."""

    capabilities: list[str] = []
    status: Health = "active"
    created: Seconds | None = None
    name: str = ""
    host: str = ""
    pid: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] = 0
    process_start: float = 0
    boot_id: str = ""
    cwd: str = ""
    version: str | None = None
    file_path: str | None = None
    endpoint: str | None = None
    a2a_card: Any = None
    work_state: Work = "active"
    lapsed_from: Health | None = None
    worked: Seconds | None = None
    modified: Seconds | None = None
    max_concurrency: Whole = 10
    memory_limit_mb: float = 512
    budget_limit_usd: float = 1.0
    active_tasks: Whole = 0
    completed_tasks: Whole = 0
    failed_tasks: Whole = 0
    budget_spent_usd: float = 0.0
    total_execution_time: float = 0.0
    avg_execution_time: float = 0.0
    error_count: Whole = 0
    request_count: Whole = 0
    config: Object = {}
    resources: Object = {}
    performance: Object = {}
    relationships: Object = {}
    metadata: Object = {}


class Record(Fields, kw_only=True):
    """A whole record; the store sets its revision."""

    agent_id: Text
    runtime_id: Text
    token: Text
    registered: Seconds = 0.0
    revision: int = 0


class Put(msgspec.Struct):
    """Enter a record, if its id is free or held by the registration *replaces*."""

    record: Record
    replaces: str | None = None
    reason: str = "replaced"


class Patched(msgspec.Struct):
    """Set fields of a record, if its token is this one."""

    agent_id: str
    token: str
    fields: Fields
    heard: Whole | None = None


class Deleted(msgspec.Struct):
    """Remove a record, if its token is this one."""

    agent_id: str
    token: str
    reason: str = "deregistered"
    heard: Whole | None = None


class Renewed(msgspec.Struct):
    """Note a heartbeat of an agent, or, without an id, of a runtime."""

    runtime_id: str
    agent_id: str | None = None
    token: str = ""


_KINDS: dict[str, Any] = {"put": Put, "patch": Patched, "delete": Deleted, "renew": Renewed}


def check(verb: str, plain: Any) -> None:
    """See that *plain* is an item of a batch of *verb*. Raises ValueError.

    >>> check("renew", {"runtime_id": 7})
    Traceback (most recent call last):
        ...
    msgspec.ValidationError: Expected `str`, got `int` - at `$.runtime_id`
    """
    msgspec.convert(plain, _KINDS[verb])
