"""Views of the runtimes: the story as plain lines, or not at all."""

from __future__ import annotations

from agentreg.demo.processes.roster import Heard, Roster
from agentreg.demo.views import INDENT, PlainView, View

__all__ = ["PlainRuntimes", "RuntimesView"]


class RuntimesView(View):
    """What the stage tells its story to. This one tells nobody; the others say more."""

    def begin(self, title: str, roster: Roster) -> None:
        """The first line, and the roster to look at from now on."""

    def heard(self, heard: Heard) -> None:
        """An event came from the directory; the roster shows it already."""

    def advanced(self) -> None:
        """One more file was read."""


class PlainRuntimes(PlainView, RuntimesView):
    """Tells the story in lines of text: for pipes, logs, and terminals without rich."""

    def begin(self, title: str, roster: Roster) -> None:
        self.roster = roster
        self._print(title)

    def heard(self, heard: Heard) -> None:
        delay = self.roster.delay(heard)
        after = "" if delay is None else f", {delay:.0f} ms after the kill"
        self._print(f"{heard.at:6.2f} s  {heard.text}{after}", INDENT + 10, INDENT)

    def advanced(self) -> None:
        roster = self.roster
        quarters = 4 * roster.read // max(1, roster.found)
        if quarters > self.quarters:
            self.quarters = quarters
            self.line(f"{roster.read:,} of {roster.found:,} files read")
