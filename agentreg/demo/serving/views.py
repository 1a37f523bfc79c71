"""Views of the service's demo: as plain lines, or not at all."""

from __future__ import annotations

from agentreg.demo.serving.scene import Scene
from agentreg.demo.views import INDENT, PlainView, View

__all__ = ["PlainServing", "ServingView", "title"]


class ServingView(View):
    """What the stage tells its story to. This one tells nobody; the others say more."""

    def begin(self, scene: Scene) -> None:
        """The first lines, the address before all; and the scene to look at from now on."""

    def heard(self, line: str) -> None:
        """Something happened in the directory."""


class PlainServing(PlainView, ServingView):
    """Tells the story in lines of text: for pipes, logs, and terminals without rich."""

    def begin(self, scene: Scene) -> None:
        print(f"{scene.url}/", file=self.stream, flush=True)
        self._print(title(scene))

    def heard(self, line: str) -> None:
        self._print(line, INDENT + 2, INDENT)


def title(scene: Scene) -> str:
    """What is to be seen there."""
    return (
        f"agentreg demo: a service, and agents of five kinds that come and go. Open the address in a browser; "
        f"`agentreg list` and others find it with the workspace below. It ends in {scene.seconds:g} s, or with Ctrl-C"
    )
