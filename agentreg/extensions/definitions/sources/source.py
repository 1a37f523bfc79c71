"""Where definitions come from: the protocol that folders, stores and servers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agentreg.extensions.definitions.definition import AgentDefinition
from agentreg.extensions.definitions.problems import Problem

__all__ = ["Listing", "Source"]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source holds at one moment.

    Attributes:
        definitions: Templates included. Of two with one name and kind, the earlier wins.
        problems: What gave no definition, each with its path; the definitions carry their own warnings.
    """

    definitions: tuple[AgentDefinition, ...] = ()
    problems: tuple[Problem, ...] = ()


class Source(Protocol):
    """Something that lists definitions. A `Catalog` calls it from one thread at a time, whichever that is.

    May also have: ``roots``, the folders to watch (texts); ``scope``, ``"user"`` or ``"project"``, by which a catalog
    leaves it out; ``forget(path)``, which makes the next `load` read that one anew, whatever its time stamps say.

    Attributes:
        name: What it is called in `Catalog.sources`; unique within a catalog.
        remote: Whether its definitions leave the catalog while it can't be read; if not, the last ones stay.
    """

    name: str
    remote: bool

    def load(self) -> Listing:
        """What it holds now; the same object as before if nothing has changed.

        Raises:
            SourceUnavailableError: it can't be read now.
        """
        ...
