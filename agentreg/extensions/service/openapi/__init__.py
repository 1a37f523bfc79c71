"""The interface, described: ``/openapi.json``, and as a page, ``/docs``."""

from agentreg.extensions.service.openapi.document import document
from agentreg.extensions.service.openapi.routes import description_routes, is_description

__all__ = ["description_routes", "document", "is_description"]
