"""What clients of a js-doc-store-server send, and what they get."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

__all__ = [
    "Column",
    "Found",
    "Insert",
    "Inserted",
    "LogIn",
    "LoggedIn",
    "Query",
    "Remove",
    "Row",
    "TableDraft",
    "Update",
]

Field = Annotated[str, msgspec.Meta(min_length=1)]
Filter = dict[Field, Any]
Direction = Literal[1, -1]
Value = str | int | float | list[str] | None


class LogIn(msgspec.Struct):
    """The body of ``POST /auth/login``."""

    email: str = ""
    password: str = ""


class Column(msgspec.Struct):
    """A column of a table."""

    name: str
    type: str = "text"
    required: bool = False


class TableDraft(msgspec.Struct):
    """The body of ``POST /admin/create-table``."""

    tableName: str
    columns: list[Column] = []


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """A new row of the table ``agents``."""

    name: str
    content: str
    description: Value = None
    version: Value = None
    tags: Value = None
    model: Value = None
    tools: Value = None
    source: Value = None


class Changes(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The columns that an update sets; null takes what was said beside the content away."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    content: str | msgspec.UnsetType = msgspec.UNSET
    description: Value | msgspec.UnsetType = msgspec.UNSET
    version: Value | msgspec.UnsetType = msgspec.UNSET
    tags: Value | msgspec.UnsetType = msgspec.UNSET
    model: Value | msgspec.UnsetType = msgspec.UNSET
    tools: Value | msgspec.UnsetType = msgspec.UNSET
    source: Value | msgspec.UnsetType = msgspec.UNSET


class Assignment(msgspec.Struct, forbid_unknown_fields=True):
    """What an update does; ``$set`` is the one operator."""

    set: Changes = msgspec.field(name="$set")


class Insert(msgspec.Struct):
    """The body of ``POST /admin/insert``."""

    tableName: str
    data: Row


class Query(msgspec.Struct):
    """The body of ``POST /admin/query``."""

    tableName: str
    filter: Filter | None = None
    sort: dict[Field, Direction] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Update(msgspec.Struct):
    """The body of ``POST /admin/update``."""

    tableName: str
    filter: Filter
    update: Assignment


class Remove(msgspec.Struct):
    """The body of ``POST /admin/remove``."""

    tableName: str
    filter: Filter


class Done(msgspec.Struct):
    """It was done."""

    success: bool


class LoggedIn(Done):
    """The answer to who has logged in: show it as ``Authorization: Bearer ...``, within *expires_in* seconds."""

    token: str
    expires_in: float


class Inserted(Done):
    """The id of a new row."""

    id: str


class Found(Done):
    """Rows, each with an ``_id``."""

    data: list[dict[str, str]]


class Changed(Done):
    """How many rows an update has changed, or a removal taken away."""

    count: int


class Failure(msgspec.Struct):
    """Why something was not done."""

    success: bool
    error: str
