"""The whole interface as an OpenAPI document."""

from __future__ import annotations

from typing import Any

from agentreg import __version__
from agentreg.extensions.service.openapi.definitions import stored_definitions
from agentreg.extensions.service.openapi.docstore import document_store
from agentreg.extensions.service.openapi.full import full_form
from agentreg.extensions.service.openapi.operating import operating
from agentreg.extensions.service.openapi.parts import Group
from agentreg.extensions.service.openapi.shapes import Problem
from agentreg.extensions.service.openapi.simple import simple_form
from agentreg.extensions.service.openapi.store import directory_store, events, operations

__all__ = ["document"]

_ABOUT = """\
Which agents are there, on this machine and elsewhere.

Every answer outside the simple form says in `Agentreg-Revision` up to which change it is current. A service with a
token wants it as `Authorization: Bearer ...`. Bodies are JSON of at most 1,000,000 bytes, unless the service was set up
otherwise.
"""


def document() -> dict[str, Any]:
    """The description (OpenAPI 3.1) of every route, but for the dashboard's.

    >>> document()["openapi"]
    '3.1.0'
    """
    common = Group("", "")
    common.shape(Problem)
    groups = [
        simple_form(),
        full_form(),
        events(),
        operating(),
        stored_definitions(),
        document_store(),
        directory_store(),
        operations(),
    ]
    return {
        "openapi": "3.1.0",
        "info": {"title": "agentreg", "version": __version__, "description": _ABOUT},
        "tags": [group.tag for group in groups],
        "security": [{}, {"token": []}],
        "paths": {route: operations for group in groups for route, operations in group.paths.items()},
        "components": {
            "schemas": {name: schema for group in (common, *groups) for name, schema in group.schemas.items()},
            "headers": {
                "Revision": {
                    "description": "The last change that the answer can show.",
                    "required": True,
                    "schema": {"type": "integer"},
                }
            },
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "The service's token, if it has one."},
                "login": {"type": "http", "scheme": "bearer", "description": "What POST /auth/login gives."},
            },
        },
    }
