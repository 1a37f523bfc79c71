"""The same definitions as a js-doc-store-server shows them: ``/auth/login`` and ``/admin/...``."""

from agentreg.extensions.service.docstore.bearers import Bearers
from agentreg.extensions.service.docstore.routes import docstore_routes, failure, is_ours

__all__ = ["Bearers", "docstore_routes", "failure", "is_ours"]
