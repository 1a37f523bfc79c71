"""The stream of events: what is there, then everything that changes, over WebSocket and as server-sent events."""

from agentreg.extensions.service.events.hub import Hub
from agentreg.extensions.service.events.streams import event_routes

__all__ = ["Hub", "event_routes"]
