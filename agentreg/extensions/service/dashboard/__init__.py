"""The page that shows the registry: one page at ``/``, its files, and nothing from elsewhere.

The files hold no data, and are served to everybody who may call the service.
What the page shows it asks for like any other client: it follows
``/registry/events``, and shows the token where the service wants one.
"""

from agentreg.extensions.service.dashboard.assets import Asset, assets
from agentreg.extensions.service.dashboard.routes import dashboard_routes, is_asset

__all__ = ["Asset", "assets", "dashboard_routes", "is_asset"]
