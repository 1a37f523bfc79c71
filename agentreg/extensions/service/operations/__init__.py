"""Operations of a service: samples, alerts, shares of memory, decisions, over HTTP."""

from agentreg.extensions.service.operations.config import OperationsConfig
from agentreg.extensions.service.operations.files import Files
from agentreg.extensions.service.operations.operations import Operations
from agentreg.extensions.service.operations.routes import operations_routes

__all__ = ["Files", "Operations", "OperationsConfig", "operations_routes"]
