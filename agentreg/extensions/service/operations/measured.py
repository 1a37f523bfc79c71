"""What agents on this machine use, where they don't say so themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from agentreg.extensions.coordination import AgentMetadata
from agentreg.extensions.resources import MeasuredUse, Usage
from agentreg.extensions.service.minding import is_local

__all__ = ["Measuring"]

_log = logging.getLogger(__name__)


class Measuring:
    """Looks at the processes of records, as long as psutil is there. Belongs to one thread.

    Attributes:
        works: Whether anything can be measured.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.works = True
        self._looks = MeasuredUse(clock)

    def look(self, records: list[AgentMetadata]) -> Mapping[str, Usage]:
        """Agent id -> what its process and that one's children use, for those whose process runs here."""
        wanted = {
            record.agent_id: (record.pid, record.process_start or None)
            for record in records
            if record.pid and is_local(record.host)
        }
        if not wanted or not self.works:
            return {}
        try:
            found = self._looks.look(wanted)
        except ImportError as error:
            _log.info("what agents use is not measured: %s", error)
            self.works = False
            return {}
        except OSError as error:
            _log.warning("what agents use could not be measured: %s", error)
            return {}
        return {agent_id: usage for agent_id, usage in found.items() if usage is not None}
