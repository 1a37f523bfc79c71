"""Views of this demo: as plain lines, or not at all."""

from __future__ import annotations

from agentreg.demo.alerting.scene import Scene
from agentreg.demo.views import PlainView, View

__all__ = ["AlertingView", "PlainAlerting"]


class AlertingView(View):
    """What the stage tells its story to. This one tells nobody; the others say more."""

    def watch(self, scene: Scene) -> None:
        """The scene to look at from now on."""


class PlainAlerting(PlainView, AlertingView):
    """Tells the story in lines of text: for pipes, logs, and terminals without rich."""
