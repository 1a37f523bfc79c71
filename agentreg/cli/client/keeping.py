"""Keeping one agent registered, whatever becomes of the service meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from agentreg.cli.client.calling import Caller
from agentreg.cli.client.errors import NoServiceError, RefusedError
from agentreg.cli.errors import CommandError

__all__ = ["Keeper", "Keeping"]

_FIRST_PAUSE = 0.5  # seconds before the second try; it doubles
_LONGEST_PAUSE = 30.0

Wait = Callable[[float], bool]


class Keeper:
    """One agent that is to be registered until its keeper leaves.

    Not thread-safe: one thread at a time.

    Args:
        caller: Who speaks to the service.
        body: What is registered, as the body of ``POST /register``.
        interval: Seconds between two heartbeats.

    Attributes:
        failure: Why the last try failed; None if it didn't.
        superseded: Whether somebody else has registered under the id since.
        answer: What the service answered to the last registration.
    """

    def __init__(self, caller: Caller, body: dict[str, Any], interval: float) -> None:
        self.failure: CommandError | None = None
        self.superseded = False
        self.answer: dict[str, Any] = {}
        self._caller = caller
        self._body = body
        self._interval = interval
        self._entered = False
        self._failures = 0

    def register(self) -> str:
        """Register the agent, again if it was before; its id, which stays the same for ever.

        Raises:
            NoServiceError: Nobody answers.
            RefusedError: The service refuses it.
        """
        answer = self._caller.ask("POST", "/register", self._body).document
        given = answer.get("id")
        if not isinstance(given, str) or not given:
            raise NoServiceError("what answers gives no id: that is not agentreg's service")
        self._body["id"] = given
        if isinstance(answer.get("token"), str):
            self._body["token"] = answer["token"]
        self._entered = True
        self.answer = answer
        return given

    def keep(self, wait: Wait) -> None:
        """Beat, until *wait* (a function of the seconds to wait) says that it is over, or another one has the id.

        A service that has forgotten the agent is told of it again, one that
        isn't there is looked for, again and again, with pauses that grow.
        """
        pause = self._interval if self._entered else self.beat()
        while not self.superseded and not wait(pause):
            pause = self.beat()

    def beat(self) -> float:
        """Send one heartbeat, or register if the service doesn't know the agent; the seconds to wait until the next."""
        try:
            if not self._entered or not self._is_known():
                self.register()
        except CommandError as error:
            return self._pause_after(error)
        self.failure, self._failures = None, 0
        return self._interval

    def leave(self) -> None:
        """Deregister the agent if the service can be reached; nobody else's registration under the same id."""
        if self._entered:
            with suppress(CommandError):
                self._caller.ask("POST", "/deregister", self._mine())

    def _is_known(self) -> bool:
        try:
            answer = self._caller.ask("POST", "/heartbeat", self._mine())
        except RefusedError as error:
            if error.status != 404:
                raise
            self._caller.forget()  # a stranger may have said so
            return False
        if answer.document.get("ok") is not True:
            self._caller.forget()
        return True

    def _mine(self) -> dict[str, Any]:
        return {key: self._body[key] for key in ("id", "token") if key in self._body}

    def _pause_after(self, error: CommandError) -> float:
        self.failure = error
        self.superseded = isinstance(error, RefusedError) and error.status == 409
        pause = _FIRST_PAUSE * 2.0**self._failures
        self._failures = min(self._failures + 1, 16)
        return min(self._interval, _LONGEST_PAUSE, pause)


class Keeping(threading.Thread):
    """A thread in which a keeper works until it is told to leave.

    Args:
        keeper: Whose work it is; nobody else calls it meanwhile.
        ended: What to call when it ends by itself.
    """

    def __init__(self, keeper: Keeper, ended: Callable[[], object] = lambda: None) -> None:
        super().__init__(name="agentreg-keeper", daemon=True)
        self._keeper = keeper
        self._ended = ended
        self._over = threading.Event()

    def run(self) -> None:
        """Beat, then leave."""
        self._keeper.keep(self._over.wait)
        self._keeper.leave()
        self._ended()

    def stop(self, patience: float) -> None:
        """Deregister the agent, within *patience* seconds or else not at all."""
        self._over.set()
        self.join(patience)
