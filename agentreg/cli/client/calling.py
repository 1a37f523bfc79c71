"""A caller of the service, who finds it again when it has moved."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from agentreg.cli.client.discovery import find
from agentreg.cli.client.errors import NoServiceError
from agentreg.cli.client.http import TIMEOUT, Answer, Service, ask
from agentreg.cli.client.starting import start

__all__ = ["Caller"]


class Caller:
    """Speaks to the service of a workspace, for as long as its user likes.

    Not thread-safe: one thread at a time may call.
    """

    def __init__(self, workspace: Path, timeout: float = TIMEOUT) -> None:
        self.workspace = workspace
        self.timeout = timeout
        self._known: Service | None = None
        self._proven = False  # since the last question

    def find(self, autostart: bool = False) -> Service:
        """Where the service is now; with *autostart* it is started if it isn't there.

        Raises:
            NoServiceError: It isn't there, or can't be started.
        """
        self._known = None
        try:
            self._known = find(self.workspace, self.timeout)
        except NoServiceError as error:
            if not autostart:
                raise NoServiceError(_with_advice(error)) from error
            self._known = start(self.workspace)
        self._proven = True
        return self._known

    def forget(self) -> None:
        """Look again before the next question: who answered may be somebody else."""
        self._known = None

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """What the service answers, wherever it is by now.

        Raises:
            NoServiceError: It isn't anywhere.
            RefusedError: It answers that it can't be done.
        """
        known, proven, self._proven = self._known, self._proven, False
        if known is not None and (proven or known.token is None):  # a token is shown to a proven service only
            with suppress(NoServiceError):
                return ask(known, method, path, body, timeout=self.timeout)
        return ask(self.find(), method, path, body, timeout=self.timeout)


def _with_advice(error: NoServiceError) -> str:
    return f"no service: {error}; start one with agentreg serve, or give --autostart"
