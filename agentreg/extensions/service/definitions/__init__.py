"""The definitions of one store over HTTP: ``/registry/definitions``."""

from agentreg.extensions.service.definitions.routes import definition_routes
from agentreg.extensions.service.definitions.table import Table, open_table

__all__ = ["Table", "definition_routes", "open_table"]
