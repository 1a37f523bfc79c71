"""Questions about operations, and what is said where the service has none."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from agentreg.cli.client.errors import NoServiceError, RefusedError
from agentreg.cli.printing import say_document

if TYPE_CHECKING:
    from agentreg.cli.client.calling import Caller
    from agentreg.cli.client.http import Answer

__all__ = ["NoOperationsError", "age_of", "ask", "items", "place", "say_answer", "who"]

NOT_FOUND = 404


class NoOperationsError(RefusedError):
    """The service runs without operations, or is too old to have any."""


def ask(caller: Caller, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
    """What the service answers.

    Raises:
        NoOperationsError: It has no operations.
        NoServiceError: There is none.
        RefusedError: It answers that it can't be done.
    """
    try:
        return caller.ask(method, path, body)
    except RefusedError as error:
        raise _explained(error, is_list=method == "GET") from error


def _explained(error: RefusedError, is_list: bool) -> RefusedError:
    """What is meant where there is no such page: *is_list* for one that every service with operations has."""
    if error.status != NOT_FOUND:
        return error
    if "operations are off" in str(error):
        return NoOperationsError(
            NOT_FOUND, "operations are off on this service; start it without --no-operations to have them"
        )
    if is_list:
        return NoOperationsError(
            NOT_FOUND, f"this service has no operations; it may be of an older agentreg: restart it ({error})"
        )
    return error


def place(*parts: str, **query: object) -> str:
    """A path below ``/registry``, with every part and value quoted; a value that is None is left out.

    >>> place("alerts", "a/b", limit=5, state=None)
    '/registry/alerts/a%2Fb?limit=5'
    """
    path = "/".join(["/registry", *(quote(part, safe="") for part in parts)])
    wanted = urlencode({name: value for name, value in query.items() if value is not None})
    return f"{path}?{wanted}" if wanted else path


def items(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects under *key*. Raises NoServiceError if there is something else."""
    found = document.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise NoServiceError(f"what answers gives no list of {key}: that is not agentreg's service")
    return found


def say_answer(answer: Answer) -> None:
    """Print the answer: its very bytes if a program reads them, else indented."""
    if sys.stdout.isatty():
        say_document(answer.document)
        return
    sys.stdout.buffer.write(answer.content)
    sys.stdout.buffer.flush()


def who(given: str | None) -> str:
    """Who says so: *given*, or the user's name."""
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return "command line"


def age_of(time: object, now: float) -> float | None:
    """Seconds from *time*, ISO 8601, to *now*, seconds since 1970; None if it is none.

    >>> age_of("1970-01-01T00:00:10Z", 25.0)
    15.0
    >>> age_of("soon", 25.0) is None
    True
    """
    if not isinstance(time, str):
        return None
    try:
        moment = datetime.fromisoformat(time.removesuffix("Z"))  # Python 3.10 doesn't take the Z
    except ValueError:
        return None
    return now - (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
