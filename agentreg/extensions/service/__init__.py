"""The service: one local registry for everything that runs, over HTTP. ``pip install "agentreg[service]"``."""

from agentreg.extensions.service.application import create_app, open_directory
from agentreg.extensions.service.limits import Limits, Timing
from agentreg.extensions.service.server import Settings, serve
from agentreg.extensions.service.workspace import Discovery, ServiceError, Workspace

__all__ = [
    "Discovery",
    "Limits",
    "ServiceError",
    "Settings",
    "Timing",
    "Workspace",
    "create_app",
    "open_directory",
    "serve",
]
