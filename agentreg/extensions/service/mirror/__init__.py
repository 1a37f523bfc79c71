"""Mirrors: whoever else is to know who joins, changes and leaves. The registry never waits for one.

`agentreg.extensions.service.mirror.webhook` has the one that posts to a URL.
"""

from agentreg.extensions.service.mirror.feed import Feed
from agentreg.extensions.service.mirror.mirroring import Mirroring
from agentreg.extensions.service.mirror.news import Mirror, News, Undelivered

__all__ = ["Feed", "Mirror", "Mirroring", "News", "Undelivered"]
