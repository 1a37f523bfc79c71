"""The full form: records with all that is known of them, filtered, changed, counted."""

from agentreg.extensions.service.full.changing import Changing
from agentreg.extensions.service.full.routes import full_routes

__all__ = ["Changing", "full_routes"]
